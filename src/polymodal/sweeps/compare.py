"""`python src/compare.py`: any runs side by side, named by what differs in their configs."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from polymodal.config.command_line import check_given_once, home
from polymodal.config.messages import readable_errors
from polymodal.errors import ConfigError
from polymodal.files import check_output, writing
from polymodal.runs.results import Run, config_of, jobs_of, read_run

HELP = """\
Compares runs: what differs in their configs, their metrics side by side, their learning curves.

    python src/compare.py <folder or glob> ... [output=<folder>]

A folder is that of a run, or of a sweep with all its jobs.
Writes compare.csv, compare.md and plots.

    python src/compare.py 'logs/train/clip_small/*' 'logs/train/siglip_small/*'
"""
ABSENT = object()
NEVER = ("run_dir", "resume")
"""Keys that differ from run to run and say nothing of it."""


def main() -> None:
    """`python src/compare.py <folders> [output=...]`."""
    arguments = sys.argv[1:]
    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP)
        sys.exit(0 if arguments else 2)
    with readable_errors():
        check_given_once(arguments)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        outputs = [home(a.removeprefix("output=")) for a in arguments if a.startswith("output=")]
        compare(
            [a for a in arguments if not a.startswith("output=")],
            Path([f"logs/compare/{stamp}", *outputs][-1]),
        )


def compare(patterns: Sequence[str], output: Path) -> list[Run]:
    """Writes the comparison of runs into a folder.

    Args:
        patterns: folders of runs or of sweeps, or globs of such.
        output: folder; made where it does not exist.

    Raises:
        ConfigError: one of the patterns finds no run.
    """
    from polymodal.sweeps.report import write_report  # it draws: not for --help

    check_output(output)
    folders = list(dict.fromkeys(folder for pattern in patterns for folder in _runs(pattern)))
    runs = [read_run(folder) for folder in folders]
    above = os.path.commonpath([folder.parent for folder in folders])
    # one that never began has no config, and so no differences
    stored = {folder: config_of(folder) for folder in folders}
    configs = {folder: config for folder, config in stored.items() if config}
    changes = dict(zip(configs, differences(list(configs.values())), strict=True))
    for run in runs:
        run.name, run.changes = os.path.relpath(run.folder, above), changes.get(run.folder, {})
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        write_report(output, "compare", runs)
    print(f"Written to {output}.")
    return runs


def _runs(pattern: str) -> list[Path]:
    found = []
    for name in sorted(glob.glob(pattern)) or [pattern]:  # noqa: PTH207  (Path.glob takes no absolute pattern)
        folder = Path(name).absolute()
        jobs = jobs_of(folder) if folder.is_dir() else []
        found += [folder] if (folder / "config.yaml").exists() else jobs
    if not found:
        raise ConfigError(
            f"{pattern}: there is no run. Give the folder of a run or of a sweep, or a glob of "
            "such."
        )
    return found


def differences(configs: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """For each config, dotted key -> value of what is not the same in all of them.

    Where the classes of a part differ, they are the difference, and not the arguments that only one
    of them has. What only follows a key above it (`data.seed` does `seed`, and `fusion.dim` does
    `dim`) is no difference of its own.
    """
    known = [
        {key: value for key, value in config.items() if key not in NEVER} for config in configs
    ]
    found = dict(_differ(known, ""))
    found = {
        key: v
        for key, v in found.items()
        if "." not in key or v != found.get(key.rpartition(".")[2])
    }
    return [{key: values[index] for key, values in found.items()} for index in range(len(configs))]


def _differ(nodes: Sequence[Any], path: str) -> Iterator[tuple[str, list[str]]]:
    if all(node == nodes[0] for node in nodes):
        return
    inner = [node for node in nodes if isinstance(node, dict)]
    if len(inner) == len(nodes) and len({node.get("_target_") for node in inner}) == 1:
        for key in dict.fromkeys(key for node in inner for key in node):
            yield from _differ(
                [node.get(key, ABSENT) for node in inner], f"{path}.{key}" if path else str(key)
            )
    else:
        yield path, [_name(node) for node in nodes]


def _name(node: Any) -> str:
    if node is ABSENT or node is None or node == {}:
        return ""
    if isinstance(node, dict) and "_target_" in node:
        return str(node["_target_"]).rpartition(".")[2]
    return node if isinstance(node, str) else json.dumps(node, sort_keys=True)
