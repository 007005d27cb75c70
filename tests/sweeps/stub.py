"""Stands for src/train.py where only the sweep around it is tested: takes its arguments, leaves its
files.

`value` is what its validation reaches; `fail`, `crash`, `wait` and `stop_sweep` say how it ends.
"""

import csv
import json
import os
import signal
import sys
from pathlib import Path

pairs = [argument.partition("=") for argument in sys.argv[1:]]
given = {key.lstrip("+"): value.replace("True", "true") for key, _, value in pairs}
folder = Path(given.get("resume") or given["hydra.run.dir"].strip('"'))
resumed = "resume" in given
if resumed:
    given = json.loads((folder / "environment.json").read_text())["given"]
if given.get("fail") == "true":
    sys.exit("error: width=33 is no multiple of 4.\nGive 32.")
if given.get("crash") == "true":
    os.kill(os.getpid(), signal.SIGKILL)
if given.get("raise") == "true":
    raise RuntimeError("nobody thought of this")
(folder / "config.yaml").write_text("monitor: val/score\nmonitor_mode: max\n")
overrides = [argument for argument in sys.argv[1:] if not argument.startswith("hydra")]
(folder / "environment.json").write_text(json.dumps({"overrides": overrides, "given": given}))
(folder / "checkpoints").mkdir(exist_ok=True)
value = float(given.get("value", 0)) + float(given.get("seed", 0)) / 100
with (folder / "metrics.csv").open("w", newline="") as stream:
    rows = csv.writer(stream)
    rows.writerow(["step", "val/score", "val/loss"])
    rows.writerows([[10, value - 1, 1], [20, value, 0.5], [30, value - 0.5, 0.7]])
if given.get("stop_sweep") == "true" and not resumed:
    (folder / "checkpoints" / "last.ckpt").touch()
    os.kill(os.getppid(), signal.SIGTERM)
if (given.get("stop_sweep") == "true" and not resumed) or float(
    given.get("wait_below", -1e9)
) > value:
    signal.pause()  # until the sweep stops it
metrics = {"test/accuracy": value / 2, "time/fit_seconds": 1.0 + value, "resumed": float(resumed)}
(folder / "metrics.json").write_text(json.dumps(metrics))
