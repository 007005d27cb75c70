"""A search asks, trains, prunes and tells; what it knows survives it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from polymodal.errors import ConfigError
from polymodal.runs.results import jobs_of, read_run
from polymodal.sweeps import job
from polymodal.sweeps.report import end_sweep
from polymodal.sweeps.space import SweepSpec, split
from tests.sweeps.test_grid import statuses

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install -e '.[sweep]'")
from polymodal.sweeps.search import Search, suggest  # noqa: E402

Ordered = Callable[..., SweepSpec]
COMPLETE, PRUNED, FAIL, RUNNING = (
    getattr(optuna.trial.TrialState, name) for name in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")
)


def states(search: Search) -> list[object]:
    return [trial.state for trial in search.study.trials]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_value_of_a_trial_is_the_best_of_its_validations(ordered: Ordered, jobs: int) -> None:
    order = ordered("value=interval(0, 1)")
    search = Search(trials=4, jobs=jobs, pruner=None)
    assert search.run(order) == 0
    assert states(search) == [COMPLETE] * 4
    assert [trial.value for trial in search.study.trials] == [
        trial.params["value"] for trial in search.study.trials
    ]
    assert [read_run(folder).best for folder in jobs_of(order.folder)] == [
        t.value for t in search.study.trials
    ]


def test_the_same_seed_asks_for_the_same_and_another_for_other_values(
    ordered: Ordered, tmp_path: Path
) -> None:
    def asked(seed: int) -> list[object]:
        search = Search(
            trials=3,
            pruner=None,
            seed=seed,
            storage=f"sqlite:///{tmp_path}/{len(list(tmp_path.iterdir()))}.db",
        )
        search.run(ordered("value=tag(log, interval(1e-3, 1))"))
        return [trial.params["value"] for trial in search.study.trials]

    first = asked(0)
    assert len(set(first)) == 3
    assert asked(1) != first


def test_a_crash_is_a_failed_trial_and_can_be_tried_again(ordered: Ordered) -> None:
    order = ordered("crash=true,false", "seed=0,1,2")
    search = Search(trials=6, pruner=None, sampler="Random")
    search.run(order)
    failed = [trial for trial in search.study.trials if trial.state == FAIL]
    assert failed
    assert len(failed) < 6
    assert all(trial.params["crash"] == "True" for trial in failed)
    again = Search(trials=6, pruner=None, sampler="Random")
    again.run(ordered("crash=true,false", "seed=0,1,2", retry_failed=True))
    repeated = again.study.trials[6:]
    assert [trial.params for trial in repeated] == [trial.params for trial in failed]
    assert end_sweep(order.folder) == 1


def test_a_hopeless_trial_is_stopped_while_it_runs(ordered: Ordered) -> None:
    # a trial with value=1 waits for ever, unless it is pruned
    order = ordered("value=5,5.5,1", "wait_below=2")
    search = Search(trials=9, sampler="Random", seed=3)
    search.pruner = optuna.pruners.PercentilePruner(50, n_startup_trials=1)
    for value in (5, 5.5, 1):
        (search_study := study_of(search, order)).enqueue_trial({"value": str(value)})
    assert search_study
    search.trials = 3
    search.run(order)
    assert states(search) == [COMPLETE, COMPLETE, PRUNED]
    assert statuses(order) == ["done", "done", "pruned"]
    assert "Pruned after" in read_run(order.folder / "2").error
    assert end_sweep(order.folder) == 0


def study_of(search: Search, order: SweepSpec) -> optuna.Study:
    """The study that a search will work on."""
    search.order, search.wanted = order, {order.monitor: order.mode}
    return search._study()


def test_a_stopped_search_goes_on_with_the_same_trial(ordered: Ordered) -> None:
    order = ordered("value=interval(0, 1)", "stop_sweep=true")
    search = Search(trials=2, pruner=None)
    assert search.run(order) == 143
    assert states(search) == [RUNNING]
    params = search.study.trials[0].params
    again = Search(trials=2, pruner=None)
    assert again.run(order) == 143  # the second trial stops it as well
    assert again.study.trials[0].params == params
    assert states(again) == [COMPLETE, RUNNING]
    last = Search(trials=2, pruner=None)
    assert last.run(order) == 0
    assert states(last) == [COMPLETE] * 2


def test_what_ended_after_the_search_was_killed_is_told(ordered: Ordered) -> None:
    order = ordered("value=interval(0, 1)")
    search = Search(trials=1, pruner=None)
    search.study, search.order, search.wanted = (
        study_of(search, order),
        order,
        {order.monitor: order.mode},
    )
    job = search.next()
    assert job
    assert job.process is None
    job.start()
    assert job.process
    job.process.wait()
    job.release()  # killed before it could tell
    again = Search(trials=1, pruner=None)
    assert again.run(order) == 0
    assert states(again) == [COMPLETE]


def test_a_trial_that_another_process_takes_first_is_left_to_it(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, locks = job.take, []

    def first_by_another(folder: Path) -> int | None:
        if not locks:
            locks.append(take(folder))
        return take(folder)

    monkeypatch.setattr(job, "take", first_by_another)
    search = Search(trials=2, pruner=None)
    search.run(ordered("value=interval(0, 1)"))
    assert states(search) == [RUNNING, COMPLETE]
    os.close(locks[0])


def test_a_search_whose_folder_has_another_name_goes_on(ordered: Ordered, tmp_path: Path) -> None:
    order = ordered("value=interval(0, 1)")
    Search(trials=1, pruner=None).run(order)
    moved = replace(order, folder=order.folder.rename(tmp_path / "moved"))
    search = Search(trials=2, pruner=None)
    search.run(moved)
    assert states(search) == [COMPLETE] * 2
    assert not list(moved.folder.glob("0.*"))  # the first trial was not run anew


def test_several_metrics_are_those_of_one_time(ordered: Ordered) -> None:
    order = ordered("value=interval(0, 1)")
    wanted = {"val/score": "maximize", "val/loss": "minimize", "time/fit_seconds": "minimize"}
    search = Search(trials=2, metrics=wanted, sampler="NSGAII", pruner=None)
    search.run(order)
    for trial in search.study.trials:
        assert trial.values == pytest.approx(
            [trial.params["value"], 0.5, 1 + trial.params["value"]]
        )
    with pytest.raises(ConfigError, match="pruner=null"):
        Search(metrics=wanted)


def test_a_metric_that_no_run_has_ends_the_search(ordered: Ordered) -> None:
    order = ordered("value=interval(0, 1)")
    with pytest.raises(ConfigError, match="val/scores.*val/score"):
        Search(trials=5, metrics={"val/scores": "maximize"}, pruner=None).run(order)
    assert len(jobs_of(order.folder)) == 1
    search = Search(trials=2, pruner=None)
    search.run(order)  # and nothing is lost
    assert states(search) == [COMPLETE] * 2


@pytest.mark.parametrize(
    ("text", "kind", "inside"),
    [
        ("interval(2, 3)", float, lambda v: 2 <= v <= 3),
        ("int(interval(2, 5))", int, lambda v: 2 <= v <= 5),
        ("tag(log, interval(1e-4, 1e-2))", float, lambda v: 1e-4 <= v <= 1e-2),
        ("range(1, 10, 3)", int, lambda v: v in (1, 4, 7)),
        ("range(0, 1, 0.25)", float, lambda v: v in (0, 0.25, 0.5, 0.75)),
        ("a,b", str, lambda v: v in ("a", "b")),
    ],
)
def test_draws_are_in_the_space(text: str, kind: type, inside: Callable[[object], bool]) -> None:
    _, swept = split({"x": text}, [])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = {kind(suggest(study.ask(), "x", swept["x"])) for _ in range(50)}
    assert all(map(inside, drawn))
    assert len(drawn) > 1
