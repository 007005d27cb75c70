"""Values that cannot be are refused before anything is built, and the message says which and
why."""

import pytest
from tests.config.in_process import checked

from polymodal.errors import ConfigError
from polymodal.training.build import build

TABLE = (
    "data=manifest",
    "data.path=pairs.csv",
    "data.columns.image=a",
    "data.columns.text=b",
    "callbacks=[default]",
)
SUPERVISED = ("objective=classification", "head=linear", "fusion=gated", "label=kind", "outputs=3")

CASES = {
    # a group takes names of its options
    "objective=2": "objective=2: this is no name of an option. It is one of: classification, clip, ",
    "missing=nan": "missing=nan: this is no name of an option",
    "trainer=false": "trainer=false: this is no name of an option. It is one of: default",
    "data=[null]": r"data=\[null\]: this is no name of an option",
    "callbacks=[1,2]": r"callbacks=\[1,2\]: this is no name",
    "callbacks=[[guard],ema]": "this is no name",
    "fusion=[1,2]": r"fusion=\[1,2\]: this is no name",
    "objective=[[1,2],[3]]": "this is no name",
    "+fusion=2": "this is no name",
    "data={path: x}": "this is no name",
    "devices=2": "this is no name of an option. It is one of: auto, cpu",
    "fusion=[sum,concat]": "one option is chosen, not 2",
    "fusion=sum,concat": "several options are a sweep: add -m.$",
    "callbacks=guard,ema": r"add -m, or callbacks=\[guard,ema\]",
    "encoder.image=5": "encoder.image=5: an option of a group is chosen by encoder/image=<option>. It is one of: auto,",
    # a dict stands where the signature takes one
    "data.batch_size={nope: 0.5}": "data.batch_size={'nope': 0.5}: input should be a valid integer",
    "data.context_length.deeper.still=1": "data.context_length={.*}: input should be a valid integer",
    "data.shift={image: 0.5}": "data.shift={'image': 0.5}: input should be a valid number",
    "callbacks.checkpoint.filename={a: 1}": "callbacks.checkpoint.filename={'a': 1}: input should be a valid string",
    "callbacks.checkpoint.monitor.x=1": "callbacks.checkpoint.monitor=.*: input should be a valid string",
    "objective.evaluation_batch_size={a: 1}": "evaluation_batch_size={'a': 1}: input should be a valid integer",
    "trainer.strategy={a: 1}": "trainer.strategy={'a': 1}: input should be",
    "trainer.profiler=5": "trainer.profiler=5: input should be",
    "trainer.profiler={_target_: 5}": "trainer.profiler._target_=5 is not a name",
    "data._partial_=5": "data._partial_=5: input should be a valid boolean",
    "data._partial_=true": "data._partial_=true: this part is used as it is built",
    "data._convert_=some": "data._convert_=some: input should be 'none',",
    "data._args_=5": "data._args_=5: input should be a list",
    # numbers are finite, and in range
    "optimizer.lr=inf": "optimizer.lr=inf: input should be a finite number",
    "optimizer.lr=nan": "optimizer.lr=nan: input should be a finite number",
    "optimizer.eps=nan": "optimizer.eps=nan: input should be a finite number",
    "optimizer.betas=[0.9,nan]": "optimizer.betas=.*: input should be a finite number",
    "objective.logit_scale=-inf": "objective.logit_scale=-inf: input should be a finite number",
    "trainer.gradient_clip_val=inf": "trainer.gradient_clip_val=inf: input should be a finite number",
    "trainer.max_time=5": "trainer.max_time=5: input should be",
    "tuning.image.freeze=1.5": "tuning.image.freeze=1.5: input should be",
    "data.shift=nan": "data.shift=nan: input should be a finite number",
    "data.splits=[true,0,0]": r"data.splits=\[True, 0, 0\]: input should be a valid number",
    "data.splits=['0.8',0.1,0.1]": "data.splits=.*: input should be a valid number",
    "data.batch_size=1" + "0" * 30: "data.batch_size=10*: input should be less than",
    "data.image_size=-8": "data.image_size=-8: input should be greater than 0",
    "data.vocab_size=2": "data.vocab_size=2: input should be greater than or equal to 257",
    "data.num_workers=100000": "data.num_workers=100000: input should be less than or equal to 1024",
    "threads=100000": "threads=100000: input should be less than or equal to 1024",
    "trainer.devices=100000": "trainer.devices=100000: input should be less than or equal to 1024",
    "trainer.max_steps=-5": "trainer.max_steps=-5: input should be",
    "seed=4294967296": "seed=4294967296: input should be less than 4294967296.$",
    "seed=-1": "seed=-1: input should be greater than or equal to 0.$",
    "seed=null": "seed=null: input should be a valid integer.$",
    "seed=1.5": "seed=1.5: input should be a valid integer.$",
    "seed=true": "seed=true: input should be a valid integer.$",
    "data.seed=4294967296": "data.seed=4294967296: input should be less than 4294967296",
    "name=5": "name=5: input should be a valid string. As text it is in quotes: 'name=\"5\"'",
    "name=true": "name=true: input should be a valid string. As text it is in quotes: 'name=\"true\"'",
    "optimizer.lr=1e-3,1e-4": "optimizer.lr=1e-3,1e-4: .* Several values are a sweep: add -m.",
    "trainer.limit_train_batches=" + "x" * 500: r"limit_train_batches=x{97}\.\.\.: input should be",
    # a training has an end
    "~trainer.max_epochs": "Nothing says when the training ends: give trainer.max_epochs=",
    "trainer.max_epochs=null": "Nothing says when the training ends",
    "~optimizer._target_": "optimizer is not chosen",
    "~seed": "data.seed: Interpolation key 'seed' not found",
}


@pytest.mark.parametrize("argument", CASES)
def test_a_wrong_value_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match=CASES[argument]):
        checked(argument)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data.mean=[inf]", r"data.mean=\[inf\]: input should be a finite number"),
        ("data.std=[nan]", r"data.std=\[nan\]: input should be a finite number"),
        ("data.std=[0]", r"data.std=\[0\]: "),
        ("data.std=[0.5,0]", "data.std=.*: "),
        ("data.max_seconds=inf", "data.max_seconds=inf: input should be a finite number"),
    ],
)
def test_a_wrong_value_of_a_table_is_refused(argument: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(*TABLE, argument)


def test_what_a_reference_gives_is_checked_too() -> None:
    with pytest.raises(
        ConfigError, match=r"^fusion.gate=\$\{seed\}, which is 0: input should be 'modality' or"
    ):
        checked(*SUPERVISED, "fusion.gate=${seed}")
    assert (
        checked(*SUPERVISED, "fusion.gate=${name}", "name=feature")["fusion"]["gate"] == "feature"
    )


def test_dicts_that_a_signature_takes_are_taken() -> None:
    rates = checked(
        *SUPERVISED,
        "callbacks=[default,modality_dropout]",
        "callbacks.modality_dropout.rate={image: 0.5}",
    )
    assert rates["callbacks"]["modality_dropout"]["rate"] == {"image": 0.5}
    profiler = "lightning.pytorch.profilers.SimpleProfiler"
    trainer = checked(f"trainer.profiler={{_target_: {profiler}}}", "trainer.max_time={hours: 1}")[
        "trainer"
    ]
    assert (trainer["profiler"], trainer["max_time"]) == ({"_target_": profiler}, {"hours": 1})


@pytest.mark.parametrize("end", ["trainer.max_steps=5", "trainer.max_time=00:01:00:00"])
def test_a_training_may_end_by_steps_or_time(end: str) -> None:
    assert checked("trainer.max_epochs=null", end)["trainer"]["max_epochs"] is None


def test_what_an_optimizer_refuses_itself_is_a_message() -> None:
    config = checked(
        "devices=cpu", "dim=16", "callbacks=none", "logger=none", "optimizer.betas=[1,2]"
    ) | {"run_dir": "."}
    module = build(config, config)[1]
    with pytest.raises(ConfigError, match="optimizer: Invalid beta parameter at index 0"):
        module.configure_optimizers()
