"""What settings of somebody else may say: what is read, and not where files are written, hosts and
secrets are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from polymodal.addresses import SECRET, is_plain
from polymodal.errors import ConfigError

log = logging.getLogger(__name__)

Path_ = tuple[str, ...]

CACHE = "${oc.env:POLYMODAL_CACHE,.cache}"
TRACKING = "${oc.env:MLFLOW_TRACKING_URI,file:logs/mlflow}"
"""The references of our own configs: where a cache and a server are, as the environment of the user
has it."""

OURS = {
    "run_dir": "${hydra:runtime.output_dir}",
    "resume": None,
    "data.cache_dir": CACHE,
    "data.image_cache": None,
}
OURS |= {"tuning.*.cache": None, "logger.*.tracking_uri": TRACKING}
"""Setting -> what is taken in the place of a stored value."""

IN_THEIR_ABSENCE = {
    "WandbLogger": ("save_dir", "${run_dir}"),
    "MLFlowLogger": ("tracking_uri", TRACKING),
}
"""Logger of Lightning's -> an argument without which it writes into the working directory, and what
it is then."""

IN_RUN = re.compile(r"\$\{(run_dir|hydra:runtime\.output_dir)\}")
FOLDER = re.compile(
    r"(^|_)(dir|dirpath|dirs|directory|folder|location|path|paths|root|uri|url|host)$"
)
"""Arguments that say where something is written."""

READ: set[Path_] = {("path",), ("name",), ("data_dir",), ("data_files",), ("tokenizer",)}
READ |= {("options", "data_dir"), ("options", "data_files")}
OPTIONS = ("anon", "name", "revision", "split", "data_dir", "data_files")
"""Settings of data that say what is read, and of what opens them those that reach nowhere else."""

FORMATS = (
    "arrow",
    "audiofolder",
    "csv",
    "imagefolder",
    "json",
    "parquet",
    "text",
    "videofolder",
    "webdataset",
)
"""Builders of the `datasets` library that read files. Others write, run statements of SQL, or
unpickle."""

LOGGERS = (
    "polymodal.loggers.csv.CSVLogger",
    "polymodal.loggers.wandb.wandb_logger",
    *(
        f"lightning.pytorch.loggers.{name}Logger"
        for name in ("CSV", "MLFlow", "TensorBoard", "Wandb")
    ),
)
OF_LOGGERS = {
    "_target_", "save_dir", "name", "version", "sub_dir", "prefix", "tracking_uri",
    "experiment_name", "run_name", "project", "group", "job_type", "tags", "notes", "offline",
    "log_model", "log_graph", "default_hp_metric", "flush_logs_every_n_steps", "flush_secs",
    "max_queue", "synchronous",
}  # fmt: skip
"""Arguments of loggers that say neither where they send to nor as whom."""

ASIDE = ("callbacks", "logger", "trainer")
"""Groups beside the model and the data: they write."""

NAMED = {"encoder", "tuning", "objective", "columns", "kinds", "modalities"}
"""Settings whose keys become names of files."""


def settled(config: Mapping[str, Any], old: str = "") -> dict[str, Any]:
    """A config with our own places.

    Args:
        config: of somebody else, whole or in part.
        old: the folder of the run, if it was stored as it was.

    Raises:
        ConfigError: names the first setting that is not taken from a stored config.
    """
    here = {group: _moved(config[group], old) for group in ASIDE if group in config} if old else {}
    result = _settled({**config, **here}, (), "")
    assert isinstance(result, dict)
    return result


def _moved(node: Any, old: str) -> Any:
    """The same with `${run_dir}` for the folder of the run, where that was stored as it was."""
    if isinstance(node, dict):
        return {key: _moved(value, old) for key, value in node.items()}
    if isinstance(node, list):
        return [_moved(item, old) for item in node]
    inside = isinstance(node, str) and (node == old or node.startswith(old.rstrip("/") + "/"))
    return "${run_dir}" + node[len(old.rstrip("/")) :] if inside else node


def _settled(node: Any, path: Path_, target: str) -> Any:
    """`target` is the part that the node is an argument of."""
    name = ".".join(path)

    # places of our own take the place of a stranger's
    for pattern, ours in OURS.items():
        if re.fullmatch(pattern.replace(".", r"\.").replace("*", "[^.]+"), name):
            if (
                isinstance(node, str)
                and node.startswith(f"{CACHE}/")
                and is_name(node[len(CACHE) + 1 :])
            ):
                return node  # within the user's own
            if node not in (None, ours, _meant(ours)) and name != "run_dir":
                said = f"{name}={_short(node)}"
                log.warning(
                    "%s of the stored config is not used; %s=... on the command line is.",
                    said,
                    name,
                )
            return ours

    # of a part its arguments are judged one by one, by their names
    if isinstance(node, dict):
        inner = str(node.get("_target_", target))
        for key in node:
            _check_key(str(key), path)
        if "_args_" in node and not inner.startswith("torch.nn."):
            raise ConfigError(
                f"{name}._args_={_short(node['_args_'])}: a stored config gives arguments by their "
                "names, so that one sees what they are. If you mean it, give it on the command "
                f"line: {name}._args_=..."
            )
        if path[:1] == ("logger",) and "_target_" in node:
            node = (
                dict([IN_THEIR_ABSENCE.get(inner.rpartition(".")[2], ("_target_", inner))]) | node
            )
        return {key: _settled(value, (*path, str(key)), inner) for key, value in node.items()}
    if isinstance(node, list):
        return [_settled(item, path, target) for item in node]

    # anything else is refused where it could reach out
    for problem in _problems(node, path, target):
        raise ConfigError(
            f"{name}={_short(node)}: {problem}, and is not taken from a stored config. If you mean "
            f"it, give it on the command line: {name}=..."
        )
    return IN_RUN.sub("${run_dir}", node) if isinstance(node, str) else node


def _meant(ours: str | None) -> str | None:
    """What a reference to the environment is now: a table of embed.py has it resolved."""
    return str(OmegaConf.create([ours])[0]) if ours and ours.startswith("${oc.env:") else ours


def _short(value: Any) -> str:
    """A value as a message shows it: somebody else may have made it long."""
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _check_key(key: str, path: Path_) -> None:
    named = NAMED & set(path) or len(path) == 1 and path[0] in ("callbacks", "logger")
    if named and (re.search(r"[/\\:\0]", key) or key.startswith(".")):
        raise ConfigError(
            f"{'.'.join(path)} has the key {key!r}, which is no name that a stored config may use."
        )


def _problems(value: Any, path: Path_, target: str) -> Iterator[str]:
    """Why a value is not taken."""
    group, argument = path[0], path[2:3]
    if group == "logger" and argument and argument[0] not in OF_LOGGERS and value is not None:
        yield "it may say where a logger sends to, or as whom"
    if path[:2] == ("data", "options") and argument and argument[0] not in OPTIONS:
        yield "it is an option of what opens files"
    if not isinstance(value, str) or path[-1] == "_target_":
        return
    if SECRET in value:
        yield "it held a secret, which is not stored"
    found = IN_RUN.match(value)
    start = ""
    if found:
        start = found[0]
    elif group == "data" and value.startswith(CACHE):
        start = CACHE
    rest = value[len(start) :]
    if "${" in rest:
        yield "it is a reference out of the config"
    elif not start:
        yield from _problems_of_place(value, path, target)
    elif rest and (rest[0] not in "/\\" or not is_name(rest[1:])):
        yield "it leads out of its folder"


def _problems_of_place(value: str, path: Path_, target: str) -> Iterator[str]:
    """Why a value is not taken that says, or may say, where something is."""
    group, key = path[0], path[-1]
    aside = group in ASIDE
    if path[1:2] in READ or path[1:3] in READ:
        if group == "data" and not is_plain(value):
            yield "it is neither a path nor a plain URL"
        if path in (("data", "path"), ("data", "name")) and value in _builders() - set(FORMATS):
            yield f"it is none of the formats {', '.join(FORMATS)}"
    elif group == "data" and FOLDER.search(key) and ("dir" in key or "folder" in key):
        yield "it says where files are written"
    if group == "data" or path[2:3] in (("notes",), ("tags",)):
        return
    if path in (("name",), ("task",)) and not is_name(value):
        yield "it is no name of a folder"
    elif group == "tuning" and key == "weights" and ("://" in value or not is_plain(value)):
        yield "it is no path"
    elif FOLDER.search(key) and (aside or "dir" in key or "folder" in key):
        yield "it says where files are written"
    elif aside and not (target.startswith("polymodal.callbacks") and key != "filename"):
        if not is_name(re.sub(r"[{}]", "", value)):
            yield "it may lead out of its folder"
    elif not aside and re.fullmatch(r"[A-Za-z][\w+.-]*://\S*|\S+::\S+", value):
        yield "it is an address"


@cache
def _builders() -> set[str]:
    """Names that `datasets` takes for builders, without importing it."""
    spec = find_spec("datasets")
    folder = Path(spec.origin or "").parent / "packaged_modules" if spec else Path()
    return {path.name for path in folder.glob("*") if spec and path.is_dir()} | {
        "sql",
        "pandas",
        "spark",
    }


def is_name(text: str) -> bool:
    """Whether a text, put at the end of a folder, stays in it."""
    parts = re.split(r"[/\\]", text)
    starts = text.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:[\\/]", text)
    return not (starts or ".." in parts or "://" in text)
