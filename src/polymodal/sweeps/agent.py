"""A sweep that Weights & Biases leads: the file that describes it, and the commands that start
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString
from omegaconf import OmegaConf

from polymodal.config.secrets import mask
from polymodal.errors import ConfigError
from polymodal.files import write_whole
from polymodal.sweeps.job import TRAIN
from polymodal.sweeps.space import SweepSpec


class WandbSweep:
    """Writes `wandb.yaml` and says what to type; the runs are started by wandb's agents, on any
    machine.

    Args:
        space: key -> its values, as for a search.
        method: how wandb chooses values.
        trials: in all.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        method: Literal["bayes", "random", "grid"] = "bayes",
        trials: int | None = None,
    ) -> None:
        self.space, self.method, self.trials = space, method, trials

    def run(self, order: SweepSpec) -> int:
        """Writes the file; runs nothing.

        Raises:
            ConfigError: something varies in an interval, of which a grid cannot try all, or an
                argument is a secret.
        """
        # a grid has a list of values
        for key, override in order.swept.items():
            if self.method == "grid" and not override.is_discrete_sweep():
                raise ConfigError(
                    f"{key}={override.get_value_string()}: sweep.method=grid takes values, no "
                    "interval."
                )
        logger = (
            []
            if any(argument.startswith("logger=") for argument in order.fixed)
            else ["logger=[csv,wandb]"]
        )

        # wandb's own description of a sweep
        described = {
            "program": str(TRAIN.relative_to(TRAIN.parents[1])),
            "name": order.folder.name,
            "method": self.method,
            "metric": {"name": order.monitor, "goal": f"{order.mode}imize"},
            "parameters": {key: parameter(override) for key, override in order.swept.items()},
            "command": [
                "${env}",
                "${interpreter}",
                "${program}",
                *order.fixed,
                *logger,
                "${args_no_hyphens}",
            ],
        } | ({"run_cap": self.trials} if self.trials else {})
        if mask(described) != described:
            raise ConfigError(
                "An argument holds a secret, which the file would show. Give it in the environment."
            )

        # wandb starts it, on any number of machines
        file = order.folder / "wandb.yaml"
        write_whole(file, OmegaConf.to_yaml(OmegaConf.create(described)))
        print(
            f"wandb sweep --project polymodal {file}\n"
            "then, from this folder, as often as runs are to go at a time:"
        )
        print("wandb agent <the id that it says>")
        return 0


def parameter(override: Override) -> dict[str, Any]:
    """Values of a key in wandb's words."""
    space = override.value()
    if not isinstance(space, IntervalSweep):
        values = override.sweep_iterator()
        return {"values": [v.with_quotes() if isinstance(v, QuotedString) else v for v in values]}
    kind = "int_uniform" if isinstance(space.start, int) else "uniform"
    if "log" in space.tags:
        kind = "q_log_uniform_values" if isinstance(space.start, int) else "log_uniform_values"
    return {"distribution": kind, "min": space.start, "max": space.end}
