"""Runs the notebooks and stores them with small outputs, so that they can be read without being
run.

    python scripts/store_notebooks.py [notebooks/1_quickstart.ipynb ...]

Warnings, times and numbers of cells are left out, images are made smaller, and folders of this
machine get names that are the same everywhere.
"""

import base64
import io
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WIDTH, COLOURS = 800, 64
"""Of a stored image: pixels, and colours of its palette."""


def main(files: list[Path]) -> None:
    for file in files:
        notebook = nbformat.read(file, as_version=4)
        NotebookClient(
            notebook, timeout=1800, resources={"metadata": {"path": str(ROOT)}}
        ).execute()
        shrink(notebook)
        nbformat.write(notebook, file)
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


def shrink(notebook: Any) -> None:
    """Leaves what a reader looks at, and nothing that differs from machine to machine."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        cell.outputs = joined([output for output in cell.outputs if output.get("name") != "stderr"])
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = None
            if "text" in output:
                output.text = readable(output.text)
            data = output.get("data", {})
            for kind in data:
                data[kind] = smaller(data[kind]) if kind == "image/png" else readable(data[kind])
        cell.outputs = [
            output for output in cell.outputs if output.get("text", "-") and says_something(output)
        ]


def says_something(output: Any) -> bool:
    """Whether it is more than a progress bar that has gone, or the advice to install a nicer
    one.
    """
    text = output.get("data", {}).get("text/plain", "-")
    return bool(text.strip()) and "ipywidgets" not in text


def joined(outputs: list[Any]) -> list[Any]:
    """What a program printed in pieces, in one."""
    result: list[Any] = []
    for output in outputs:
        if result and output.output_type == result[-1].output_type == "stream":
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def readable(text: str) -> str:
    """Text without colours, warnings, progress bars and folders of this machine."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    text = re.sub(r"[^\n]*\r(?=[^\n])", "", text)
    lines = [line.rstrip() for line in text.splitlines()]
    text = "\n".join(
        line for line in lines if not re.search(r"site-packages|it/s\]|━ 100%", line)
    ).strip("\n")
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/tmp\w+", "<folder>", text)
    return text.replace(f"{ROOT}/", "").replace(str(ROOT), ".").replace(str(Path.home()), "~")


def smaller(png: str) -> str:
    """A PNG in base64 -> one of at most WIDTH pixels, with a palette."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    if image.width > WIDTH:
        image = image.resize(
            (WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS
        )
    buffer = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]] or sorted((ROOT / "notebooks").glob("*.ipynb")))
