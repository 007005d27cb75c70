"""Jobs of submitit's that leave no result."""

import json
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="no submitit: pip install -e '.[slurm]'")
from submitit.core.utils import FailedJobError, UncompletedJobError

from polymodal.sweeps.submitit import FinishedJob

TRACE = f"failed with trace:\n{'-' * 22}\nTraceback\n  line\nImportError: no torch\n{'-' * 22}\nYou can check"


class Lost:
    """A job that is over."""

    job_id, state = "57_1", "NODE_FAIL"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def results(self) -> list[object]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UncompletedJobError("no output\nlast words"), "Job 57_1, NODE_FAIL: no result."),
        (FailedJobError(TRACE), "ImportError: no torch"),
    ],
)
def test_a_job_without_a_result_is_a_failed_one(
    tmp_path: Path, error: Exception, message: str
) -> None:
    (result,) = FinishedJob(Lost(error), tmp_path / "1", ["++seed=1"]).results()
    assert result.return_value is None
    assert (tmp_path / "1" / "error.txt").read_text().startswith(message)
    assert str(error) in (tmp_path / "1" / "error.txt").read_text()
    assert json.loads((tmp_path / "1" / "environment.json").read_text())["overrides"] == [
        "++seed=1"
    ]


def test_what_a_job_said_of_itself_counts(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    FinishedJob(Lost(UncompletedJobError("")), tmp_path, []).results()
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]
