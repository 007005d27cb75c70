"""A search by Optuna: each trial is a job, watched while it trains."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from polymodal.errors import ConfigError
from polymodal.files import write_whole
from polymodal.runs.results import Mode, at_best, curve, end_of
from polymodal.sweeps.job import Job
from polymodal.sweeps.runner import run_jobs
from polymodal.sweeps.space import SweepSpec
from polymodal.types import PositiveInt, Seed, Threads

Direction = Literal["maximize", "minimize"]
DIRECTIONS: dict[Mode, Direction] = {"max": "maximize", "min": "minimize"}

PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "Median": lambda: optuna.pruners.MedianPruner(
        n_warmup_steps=2
    ),  # by its second validation, not before
    "Hyperband": optuna.pruners.HyperbandPruner,
    "SuccessiveHalving": optuna.pruners.SuccessiveHalvingPruner,
}


class Search:
    """Asks a sampler for values, trains with them, reports the result; hopeless trials are
    pruned on the way.

    All that is known is in the storage, so that a search which was killed goes on, and several
    processes, on several machines too, can work on one. The seed of a draw is `seed` plus the
    trial's number, for samplers that are named.

    Args:
        space: key -> its values: `tag(log, interval(1e-4, 1e-2))`, `int(interval(1, 8))`, `range(0,
            1, 0.1)`, `a,b`; or one value for all. The command line may say other ones.
        trials: in all.
        jobs: trials that run at a time.
        metrics: metric -> `maximize` or `minimize`, of any metric of a run; with several, Optuna
            looks for the trials that no other is better than in all of them. None: the metric that
            chooses a run's checkpoint (`monitor`). Metrics of the validation are those of the time
            when the first of them was best.
        sampler: one of Optuna's by its name, or a node with the `_target_` of any other.
        pruner: the same; None for no pruning. It compares trials after equally many validations.
        storage: an SQLite file (`sqlite:///search.db`) or another data base that Optuna knows.
            None: a journal in the sweep's folder.
        seed: of the sampler.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        trials: PositiveInt = 20,
        jobs: Threads = 1,
        metrics: Mapping[str, Direction] | None = None,
        sampler: Literal["TPE", "Random", "GP", "NSGAII", "QMC"] = "TPE",
        pruner: Literal["Median", "Hyperband", "SuccessiveHalving"] | None = "Median",
        storage: str | None = None,
        seed: Seed = 0,
    ) -> None:
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space, self.trials, self.jobs, self.metrics = space, trials, jobs, metrics
        self.total = trials
        self.sampler, self.pruner, self.storage, self.seed = sampler, pruner, storage, seed
        self.running: dict[str, Trial] = {}
        self.reported: dict[str, int] = {}
        if metrics and len(metrics) > 1 and pruner:
            raise ConfigError(
                "Optuna prunes by one metric only. Several sweep.metrics= need sweep.pruner=null."
            )

    def run(self, order: SweepSpec) -> int:
        """Runs the trials that are still to do; gives the exit code.

        Raises:
            ConfigError: a metric is none of the metrics of a run.
        """
        self.order = order
        modes = {direction: mode for mode, direction in DIRECTIONS.items()}
        self.wanted = {name: modes[direction] for name, direction in (self.metrics or {}).items()}
        self.wanted = self.wanted or {order.monitor: order.mode}
        self.study = self._study()
        if order.retry_failed:
            self._retry()
        self.total = self.trials + len(self.study.user_attrs.get("tried_again", []))
        code = run_jobs(self, self.jobs, order)
        if len(self.wanted) > 1:
            best = ", ".join(str(trial.number) for trial in self.study.best_trials)
            print(f"No job is better in all of {', '.join(self.wanted)} than any of these: {best}")
        return code

    def _study(self) -> optuna.Study:
        journal = self.order.folder / "study.log"
        pruner = PRUNERS[self.pruner]() if isinstance(self.pruner, str) else self.pruner
        return optuna.create_study(
            storage=self.storage or JournalStorage(JournalFileBackend(str(journal))),
            study_name=self.order.folder.name
            if self.storage
            else "sweep",  # whose folder may get another name
            directions=[DIRECTIONS[mode] for mode in self.wanted.values()],
            pruner=pruner or optuna.pruners.NopPruner(),
            load_if_exists=True,
        )

    def _retry(self) -> None:
        """The values of failed trials are tried again, under new numbers: what is in the storage
        stays as it is.
        """
        again = list(self.study.user_attrs.get("tried_again", []))
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.FAIL]):
            if trial.number not in again and trial.params:
                self.study.enqueue_trial(trial.params)
                again.append(trial.number)
        self.study.set_user_attr("tried_again", again)

    def next(self) -> Job | None:
        """A trial that was interrupted, or else a new one."""
        job = self._interrupted()
        # another process may take a trial that we have asked for, as one that was interrupted
        while job is None:
            trials = self.study.get_trials(deepcopy=False)
            if sum(trial.state != TrialState.WAITING for trial in trials) >= self.total:
                return None
            if isinstance(self.sampler, str):
                self.study.sampler = getattr(optuna.samplers, f"{self.sampler}Sampler")(
                    seed=self.seed + len(trials)
                )
            else:
                self.study.sampler = self.sampler
            job = self._job(self.study.ask(), reported=0)
        return job

    def _interrupted(self) -> Job | None:
        """A trial that runs according to the storage, but that no process runs."""
        for known in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if str(known.number) in self.running:
                continue
            trial = Trial(self.study, known._trial_id)
            if job := self._job(trial, reported=len(known.intermediate_values)):
                if end_of(job.folder) is None:
                    return job
                self.ended(job)  # its training ended when the search had been killed
                job.release()
        return None

    def _job(self, trial: Trial, reported: int) -> Job | None:
        """The job of a trial; None where another process was faster."""
        job = Job(self.order.folder / str(trial.number), self.order.fixed)
        if not job.take():
            return None
        for key, override in self.order.swept.items():
            job.overrides.append(f"{override.get_key_element()}={suggest(trial, key, override)}")
        self.running[job.folder.name], self.reported[job.folder.name] = trial, reported
        return job

    def is_hopeless(self, job: Job) -> bool:
        """Asks the pruner, where something came since the last look."""
        if job.stopped_at or not self._report(job):
            return False
        if not self.running[job.folder.name].should_prune():
            return False
        write_whole(
            job.folder / "pruned.txt", f"Pruned after {self.reported[job.folder.name]} validations."
        )
        return True

    def _report(self, job: Job) -> bool:
        """Tells the pruner the validations since the last look; whether there were any."""
        if len(self.wanted) > 1:
            return False
        name, (metric,) = job.folder.name, self.wanted
        values = [value for _, value in curve(job.folder, metric)]
        new = range(self.reported[name], len(values))
        for index in new:
            self.running[name].report(values[index], index + 1)
        self.reported[name] += len(new)
        return bool(new)

    def ended(self, job: Job) -> None:
        """Tells the storage. A trial that was stopped stays as it is there, and goes on another
        time.
        """
        self._report(job)
        trial = self.running.pop(job.folder.name)
        match end_of(job.folder):
            case "done":
                self.study.tell(trial, at_best(job.folder, self.wanted))
            case "pruned":
                self.study.tell(trial, state=TrialState.PRUNED)
            case "failed":
                self.study.tell(trial, state=TrialState.FAIL)


def suggest(trial: Trial, key: str, override: Override) -> str:
    """The value that a trial has for a key, as it stands on the command line.

    Args:
        trial: of Optuna.
        key: its name in the study.
        override: with the values that there are.
    """
    space: Any = override.value()
    if not isinstance(space, IntervalSweep | RangeSweep):
        return str(trial.suggest_categorical(key, list(override.sweep_string_iterator())))
    ends = [space.start, space.end] if isinstance(space, IntervalSweep) else sorted(space.range())
    how = (
        {"log": "log" in space.tags}
        if isinstance(space, IntervalSweep)
        else {"step": abs(space.step)}
    )
    draw: Any = trial.suggest_int if isinstance(ends[0], int) else trial.suggest_float
    return str(draw(key, ends[0], ends[-1], **how))
