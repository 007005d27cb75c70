"""The encoder that CONTRIBUTING.md adds works as it says: two files, nothing else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, SMALL


def test_the_guide_s_encoder_trains_and_its_mistakes_are_explained(cache: Path, tmp_path: Path) -> None:
    for folder in ("src", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for language in ("python", "yaml"):
        name, content = re.search(rf"`([\w/.]+)`:\n\n```{language}\n(.*?)```", text, flags=re.DOTALL).groups()
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(content)

    def train(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "src/train.py", "encoder/text=gru", *arguments]
        environment = {**os.environ, "PYTHONPATH": ""}  # the copy, not the installed package
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = train("encoder.text.width=64", "debug=fast", SMALL, "data.vocab_size=400", "callbacks.report=null")
    assert done.returncode == 0, done.stderr
    wrong = train("encoder.text.widht=64")
    assert wrong.returncode == 2
    assert "Did you mean width?" in wrong.stderr
