"""What a user does: train, look into the folder, evaluate again, repeat, change, sweep,
distribute."""

import csv
import itertools
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.conftest import ROOT, SMALL

FAST = ["experiment=clip_small", "debug=fast", SMALL, "data.vocab_size=400"]
SECRET = "s3cr3t-value-of-a-key"


@pytest.fixture(scope="module")
def trained(command, tmp_path_factory) -> Path:
    """The folder of one run, with two loggers, on the bundled data."""
    here = tmp_path_factory.mktemp("project")
    whole = "trainer.limit_test_batches=1.0"
    done = command(
        "train.py", *FAST, whole, "logger=[csv,tensorboard]", cwd=here, WANDB_API_KEY=SECRET
    )
    assert done.returncode == 0, done.stderr
    assert "test/image_to_text/recall@1" in done.stdout
    assert "test/zero_shot/accuracy" in done.stdout
    (folder,) = (here / "logs" / "train" / "clip_small").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d{6}", folder.name)
    assert str(folder) in done.stdout.replace("\n", "")
    return folder


def test_the_folder_holds_what_it_should(trained: Path) -> None:
    names = {path.relative_to(trained).as_posix() for path in trained.rglob("*")}
    assert {
        "config.yaml",
        "metrics.csv",
        "metrics.json",
        "environment.json",
        "report",
        "checkpoints",
    } <= names
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= names
    pictures = {"curves", "image_to_text", "text_to_image", "zero_shot", "embedding_map"}
    assert {f"report/{name}.png" for name in pictures} <= names
    assert not [name for name in names if "=" in name]
    metrics = json.loads((trained / "metrics.json").read_text())
    wanted = {
        "test/zero_shot/accuracy",
        "test/zero_shot/recall",
        "test/loss",
        "val/loss",
        "time/total_seconds",
    }
    wanted |= {
        f"test/{way}/recall@{k}" for way in ("image_to_text", "text_to_image") for k in (1, 5, 10)
    }
    assert wanted <= set(metrics)
    with (trained / "metrics.csv").open(newline="") as stream:
        columns = next(csv.reader(stream))
    assert {
        "train/loss",
        "val/loss",
        "test/image_to_text/recall@1",
        "train/samples_per_second",
    } <= set(columns)


def test_no_file_holds_a_secret(trained: Path) -> None:
    assert not [p for p in trained.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


def test_every_checkpoint_is_plain_data_with_config_and_tokenizer(trained: Path) -> None:
    for file in (trained / "checkpoints").iterdir():
        checkpoint = torch.load(file, weights_only=True)
        assert checkpoint["config"]["objective"]["_target_"] == "polymodal.objectives.clip.CLIP"
        assert '"model"' in checkpoint["Glyphs"]["tokenizer"]


@pytest.mark.parametrize(
    ("which", "changed", "tolerance"),
    [
        pytest.param(".", [], 0, id="folder"),
        pytest.param(
            "checkpoints/best.ckpt",
            ["data.batch_size=17", "devices=ddp_cpu"],
            1e-4,
            id="file, other batches, two processes",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_judging_again_gives_the_same_metrics(
    command, trained: Path, tmp_path: Path, which: str, changed: list[str], tolerance: float
) -> None:
    done = command(
        "eval.py", f"checkpoint={trained / which}", f"run_dir={tmp_path / 'again'}", *changed
    )
    assert done.returncode == 0, done.stderr
    before, again = (
        json.loads((path / "metrics.json").read_text()) for path in (trained, tmp_path / "again")
    )
    for name in (name for name in before if name.startswith("test/")):
        assert again[name] == pytest.approx(before[name], rel=tolerance, abs=0), name


@pytest.mark.slow
def test_an_average_of_the_weights_is_judged_by_itself(command, tmp_path: Path) -> None:
    here = tmp_path / "a folder (1), with = signs"  # as people name them
    here.mkdir()
    chosen = [
        *FAST,
        "trainer.limit_train_batches=1.0",
        "callbacks=[default,ema]",
        "callbacks.report=null",
        "optimizer.lr=0.01",
    ]
    done = command("train.py", *chosen, cwd=here)
    assert done.returncode == 0, done.stderr
    (run,) = (here / "logs" / "train" / "clip_small").iterdir()
    done = command("eval.py", f"checkpoint={run}", cwd=here)
    assert done.returncode == 0, done.stderr
    (again,) = (here / "logs" / "eval" / "clip_small").iterdir()
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (run, again))
    assert {k: v for k, v in first.items() if "test/" in k} == {
        k: v for k, v in second.items() if "test/" in k
    }


@pytest.mark.slow
def test_a_checkpoint_that_is_none_is_refused(command, tmp_path: Path, trained: Path) -> None:
    whole = (trained / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["config"]["encoder"]["image"] = {"_target_": "os.system", "command": "touch proof"}
    torch.save(checkpoint, tmp_path / "evil.ckpt")
    for name, part in (
        ("cut.ckpt", "damaged"),
        ("evil.ckpt", "os.system"),
        ("none.ckpt", "neither"),
    ):
        done = command("eval.py", f"checkpoint={tmp_path / name}", cwd=tmp_path)
        assert done.returncode == 2
        assert part in done.stderr
        assert len(done.stderr.splitlines()) <= 5
    assert not (tmp_path / "proof").exists()


def test_config_yaml_alone_repeats_the_run_bit_for_bit(
    command, trained: Path, tmp_path: Path
) -> None:
    done = command("train.py", f"repeat={trained}", "test=false", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    first, second = (
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (trained, folder)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_folder_with_a_run_is_refused(command, trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    done = command("train.py", *FAST, f"hydra.run.dir={trained}")
    assert done.returncode == 2
    assert "holds a run already" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_everything_can_be_mixed_from_the_command_line(command, tmp_path: Path) -> None:
    mix = [
        "encoder/image=vit",
        "encoder/text=bow",
        "objective=siglip",
        "precision=bf16",
        "logger=wandb",
    ]
    done = command(
        "train.py",
        *FAST,
        *mix,
        "callbacks=[default,ema,early_stopping]",
        "data.num_workers=1",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "offline" in done.stderr + done.stdout
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    assert list((folder / "wandb").glob("offline-run-*"))
    for file in (folder / "checkpoints").iterdir():
        assert "objective.logit_bias" in torch.load(file, weights_only=True)["state_dict"]


def test_a_fusion_classifies(command, tmp_path: Path) -> None:
    chosen = [
        "objective=classification",
        "fusion=gated",
        "head=linear",
        "callbacks=[checkpoint,progress_bar]",
        "logger=none",
    ]
    done = command("train.py", *FAST, *chosen, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test/accuracy" in done.stdout
    assert "test/recall" in done.stdout


def test_a_sweep_has_a_table_and_survives_a_failing_job(command, tmp_path: Path) -> None:
    chosen = [
        *FAST,
        "callbacks.report=null",
        "encoder/text=bow,transformer",
        "encoder.text.width=32,33",
        "test=true",
    ]
    done = command("train.py", "-m", *chosen, cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 4 jobs failed: 3" in done.stderr
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    assert {path.name for path in folder.iterdir()} >= {"0", "1", "2", "3", "sweep.csv"}
    with (folder / "sweep.csv").open(newline="") as stream:
        jobs = list(csv.DictReader(stream))
    assert [(job["encoder/text"], job["encoder.text.width"], job["status"]) for job in jobs] == [
        ("bow", "32", "done"),
        ("bow", "33", "done"),
        ("transformer", "32", "done"),
        ("transformer", "33", "failed"),
    ]
    assert all(job["test/image_to_text/recall@1"] for job in jobs[:3])
    assert "width=33" in jobs[3]["error"]


def test_two_processes_make_one_run_in_one_folder(command, tmp_path: Path) -> None:
    done = command("train.py", *FAST, "devices=ddp_cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder") == 1
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    assert (folder / "metrics.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


@pytest.mark.slow
def test_torchrun_makes_one_run_in_one_folder(cache, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = [str(ROOT / "src" / "train.py"), *FAST, "devices=ddp_cpu", "callbacks.report=null"]
    done = subprocess.run(
        [*launcher, *script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder") == 1
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    assert (folder / "metrics.json").exists()


@pytest.mark.slow
def test_a_process_may_have_nothing_to_judge(command, tmp_path: Path) -> None:
    chosen = [
        "devices=ddp_cpu",
        "trainer.devices=3",
        "data.limit=2",
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    done = command("train.py", *FAST, *chosen)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test/recall@10"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("image", ["vit", "cnn"])
def test_shards_give_a_checkpoint_that_one_process_judges_alike(
    command, tmp_path: Path, image: str
) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    sharded = [
        "devices=fsdp",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        f"encoder/image={image}",
    ]
    done = command(
        "train.py", *FAST, *sharded, "trainer.gradient_clip_val=1", f"hydra.run.dir={run}"
    )
    assert done.returncode == 0, done.stderr
    done = command("eval.py", f"checkpoint={run}", "devices=cpu", f"run_dir={again}")
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (run, again))
    for name in (name for name in first if name.startswith("test/")):
        assert second[name] == pytest.approx(first[name], rel=1e-6), name


@pytest.mark.slow
def test_compiled_and_recomputed_parts_train_as_others_do(command, tmp_path: Path) -> None:
    losses = []
    for changed in ([], ["compile=true"], ["activation_checkpointing=true"]):
        run = tmp_path / str(len(losses))
        chosen = [
            *FAST,
            "encoder/image=linear",
            "callbacks.report=null",
            "test=false",
            f"hydra.run.dir={run}",
            *changed,
        ]
        done = command("train.py", *chosen)
        assert done.returncode == 0, done.stderr
        losses.append(json.loads((run / "metrics.json").read_text())["val/loss"])
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-4)


@pytest.mark.slow
def test_two_machines_make_one_run(cache, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = ["--master-addr=127.0.0.1", f"--master-port={free.getsockname()[1]}"]
    script = [str(ROOT / "src" / "train.py"), *FAST, "devices=multi_node", "callbacks.report=null"]
    commands = [
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nnodes=2",
            f"--node-rank={rank}",
            *place,
            *script,
        ]
        for rank in range(2)
    ]
    machines = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for command in commands
    ]
    outputs = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    assert [output.count("Run folder") for output in outputs] == [1, 0]
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    assert (folder / "metrics.json").exists()


@pytest.mark.slow
def test_a_sweep_of_distributed_runs_is_one_sweep(command, tmp_path: Path) -> None:
    done = command(
        "train.py",
        "-m",
        *FAST,
        "devices=ddp_cpu",
        "seed=0,1",
        "callbacks.report=null",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder") == 2
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["0", "1"]
    assert all((folder / job / "metrics.json").exists() for job in "01")


@pytest.mark.slow
def test_distributed_training_gives_the_weights_of_one_process(command, tmp_path: Path) -> None:
    chosen = [
        SMALL,
        "data.vocab_size=400",
        "precision=fp64",
        "trainer.max_epochs=2",
        "data.batch_size=64",
        "test=false",
    ]
    # no batch norm
    chosen += [
        "data.shift=0",
        "data.scale=0",
        "data.merge_levels=[]",
        "logger=none",
        "callbacks=[checkpoint]",
        "encoder/image=vit",
    ]
    chosen += ["++callbacks.checkpoint.monitor=null", "++callbacks.last=null"]
    states = []
    for number, devices in enumerate(
        (["devices=cpu"], ["devices=ddp_cpu"], ["devices=ddp_cpu", "accumulate=3"])
    ):
        done = command("train.py", *chosen, *devices, f"hydra.run.dir={tmp_path / str(number)}")
        assert done.returncode == 0, done.stderr
        (file,) = (tmp_path / str(number) / "checkpoints").iterdir()
        states.append(torch.load(file, weights_only=True)["state_dict"])
    for (key, value), other in itertools.product(states[0].items(), states[1:]):
        torch.testing.assert_close(
            other[key], value, rtol=1e-6, atol=1e-9, msg=lambda m, k=key: f"{k}: {m}"
        )


@pytest.mark.slow
def test_a_few_samples_can_be_learnt_by_heart(command, tmp_path: Path) -> None:
    done = command(
        "train.py",
        "debug=overfit",
        SMALL,
        "data.vocab_size=400",
        "callbacks.report=null",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "logs" / "train" / "clip_small").iterdir()
    with (folder / "metrics.csv").open(newline="") as stream:
        losses = [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]
    assert losses[0] > 3.5
    assert losses[-1] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16_true", "fp64"])
@pytest.mark.parametrize("image", ["cnn", "vit", "resnet"])
def test_every_precision_trains(command, tmp_path: Path, precision: str, image: str) -> None:
    chosen = [f"precision={precision}", f"encoder/image={image}", "callbacks.report=null"]
    done = command("train.py", *FAST, *chosen, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("debug", ["limit", "profile"])
def test_every_debug_mode_runs(command, tmp_path: Path, debug: str) -> None:
    # a twentieth of it would be nothing
    small = [] if debug == "limit" else [SMALL, "data.vocab_size=400"]
    done = command("train.py", f"debug={debug}", *small, "data.batch_size=64", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if debug == "profile":
        assert list(tmp_path.rglob("fit-profile.txt"))
