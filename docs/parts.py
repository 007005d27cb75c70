"""Reference pages that are complete by themselves: what the configs offer, and what a package
holds.

:::{options} encoder/image       all options of a config group, with the docstring of each
:::{modules} polymodal.losses    all public names of a package or module
"""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import iter_modules

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[1]
TARGET = re.compile(r"^ *_target_: (polymodal\.[\w.]+)$", flags=re.MULTILINE)


class Parsed(SphinxDirective):
    """A directive that writes Markdown, and lets that be read in its place."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of what `markdown` writes."""
        self.env.note_dependency(__file__)
        lines = self.markdown(self.arguments[0])
        container = nodes.section()
        self.state.nested_parse(
            StringList(lines, source=self.env.docname), self.content_offset, container, True
        )
        return container.children

    def markdown(self, argument: str) -> list[str]:
        """Lines to be read."""
        raise NotImplementedError


class Options(Parsed):
    """A heading an option, its YAML file, and the docstring of each class of ours that the file
    names.
    """

    def markdown(self, argument: str) -> list[str]:
        """See the class."""
        lines: list[str] = []
        for file in sorted((ROOT / "configs" / argument).glob("*.yaml")):
            text = file.read_text()
            self.env.note_dependency(str(file))
            if targets := dict.fromkeys(TARGET.findall(text)):
                lines += [
                    f"## `{argument}={file.stem}`",
                    "",
                    "```yaml",
                    *text.rstrip().splitlines()[:30],
                    "```",
                    "",
                ]
                lines += [line for target in targets for line in self._described(target)]
        return lines

    def _described(self, target: str) -> list[str]:
        """The docstring, once a page: two options may be of one class."""
        seen = self.env.temp_data.setdefault("described", set())
        if target in seen:
            return []
        seen.add(target)
        kind = "autoclass" if target.rpartition(".")[2][0].isupper() else "autofunction"
        return ["```{eval-rst}", f".. {kind}:: {target}", "```", ""]


class Modules(Parsed):
    """The public classes and functions of each module."""

    def markdown(self, argument: str) -> list[str]:
        """See the class."""
        path = ROOT / "src" / Path(*argument.split("."))
        names = (
            [argument]
            if not path.is_dir()
            else [f"{argument}.{m.name}" for m in iter_modules([str(path)])]
        )
        return [
            line
            for name in names
            for line in [
                f"## `{name}`",
                "",
                "```{eval-rst}",
                f".. automodule:: {name}",
                "   :members:",
                "```",
                "",
            ]
        ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds both directives."""
    app.add_directive("options", Options)
    app.add_directive("modules", Modules)
    return {"parallel_read_safe": True}
