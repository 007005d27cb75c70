"""What several tests share: small real data, composed configs, command lines."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SMALL = "data.families=[STIXGeneralBolIta]"
"""1,100 real glyphs of one font: enough to run everything, rendered in a blink."""

# imported once, and not by each process of a test
multiprocessing.set_forkserver_preload(["polymodal.training.run"])
torch.set_num_threads(1)
# the cores are sharded: a command has one too, and its processes
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered glyphs, shared by all tests of a session."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["POLYMODAL_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def glyphs(cache):
    """The small data, set up."""
    from polymodal.data.glyphs import Glyphs

    data = Glyphs(str(cache), families=["STIXGeneralBolIta"], vocab_size=400, batch_size=64)
    data.prepare_data()
    data.setup()
    return data


@pytest.fixture(scope="session")
def command(cache) -> Callable[..., subprocess.CompletedProcess]:
    """Runs a script of src/ as a user would: `command("train.py", "debug=fast")`."""

    def run(
        script: str, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(ROOT / "src" / script), *arguments],
            cwd=cwd or ROOT,
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def prepare() -> Callable[..., str]:
    """Runs a script that prepares data, `prepare("stamps", "folder=...")`, and gives what it
    says."""

    def run(name: str, *arguments: str) -> str:
        script = ROOT / "scripts" / "prepare" / f"{name}.py"
        return subprocess.run(
            [sys.executable, str(script), *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        ).stdout

    return run


@pytest.fixture(scope="session")
def stamps(prepare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared stamps of a tiny package, which is beside them."""
    pytest.importorskip("resvg_py")
    from tests.data.packages import make_stamps

    folder = tmp_path_factory.mktemp("stamps")
    package = make_stamps(folder / "package")
    prepare("stamps", f"package={package}", f"folder={folder / 'stamps'}", "size=16")
    return folder / "stamps"


@pytest.fixture(scope="session")
def openclipart(prepare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared drawings of tiny packages."""
    from tests.data.packages import make_openclipart

    folder = tmp_path_factory.mktemp("openclipart")
    svg, png = make_openclipart(folder)
    prepare("openclipart", f"svg={svg}", f"png={png}", f"folder={folder / 'prepared'}", "size=16")
    return folder / "prepared"
