"""Debian packages as folders: fetched and unpacked without root, or taken from a path."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path


def unpacked(package: str, known: dict[str, str], given: str, folder: Path) -> Path:
    """The folder with a package's files.

    Args:
        package: its name.
        known: version -> SHA-256 of the .deb; another version is taken too, with a word of warning.
        given: the path of a .deb or of an unpacked folder; empty to get the package by apt.
        folder: where to download and unpack to.
    """
    if given and Path(given).is_dir():
        return Path(given)
    if given and not Path(given).is_file():
        sys.exit(f"error: {given}: there is no such file or folder.")
    archive = Path(given).absolute() if given else _download(package, folder)
    _check(archive, package, known)
    target = folder / package
    _run(
        ["dpkg-deb", "-x", str(archive), str(target)],
        f"{archive} cannot be unpacked. Is it a .deb?",
    )
    return target


def below(root: Path, endings: set[str]) -> list[Path]:
    """The files of a folder with these endings, in the order of their names; no link leads out of
    the folder.
    """
    inside = root.resolve()
    files = (file for file in sorted(root.rglob("*")) if file.suffix.lower() in endings)
    return [file for file in files if file.is_file() and file.resolve().is_relative_to(inside)]


def _download(package: str, folder: Path) -> Path:
    problem = (
        f"apt could not get {package}. Get its .deb otherwise, and give its path (--help says how)."
    )
    _run(["apt-get", "download", package], problem, folder)
    return next(folder.glob(f"{package}_*.deb"))


def _check(archive: Path, package: str, known: dict[str, str]) -> None:
    fields = _run(["dpkg-deb", "-f", str(archive), "Package", "Version"], f"{archive} is no .deb.")
    name, version = (line.partition(": ")[2] for line in fields.splitlines())
    if name != package:
        sys.exit(f"error: {archive} is the package {name}, not {package}.")
    if version not in known:
        print(
            f"{package} {version} is not a known version ({', '.join(known)}): counts and metrics "
            "may differ."
        )
        return
    with archive.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != known[version]:
        sys.exit(f"error: {archive} is damaged: SHA-256 {found} instead of {known[version]}.")


def _run(command: list[str], problem: str, folder: Path | None = None) -> str:
    if not shutil.which(command[0]):
        sys.exit(
            f"error: there is no {command[0]} here. Unpack the package elsewhere, and give the "
            "folder."
        )
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {problem}\n{done.stderr.strip()}")
    return done.stdout
