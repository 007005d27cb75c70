"""One file may be written in several ways, `im/1.png`, `./im/1.png`, `/data/im/1.png`: one name for
all of them.
"""

from __future__ import annotations

import os
import re
from posixpath import join, normpath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.table.files import Places

ODD = r"//|(^|/)\.\.?(/|$)|./$"
"""A path that `normpath` would change."""


def one_spelling(paths: pa.Array, places: Places) -> pa.Array:
    """(rows,) paths as a table has them -> the same, equal where they lead to one file; null stays
    null.

    Paths below the table's folder start from there, so that what follows from them does not depend
    on where that lies. Where rows come from several folders, all are absolute. Nothing is looked up
    on disk: links are not followed.
    """
    roots = [os.path.abspath(folder) for folder in places.folders]  # noqa: PTH100  (of links as they are written)
    if len(set(roots)) > 1:
        part = pa.array(places.part_of(np.arange(len(paths))))
        root = pa.array(roots, pa.large_string()).take(part)
        below = pc.binary_join_element_wise(root, paths, pa.scalar("/", pa.large_string()))
        return _normal(pc.if_else(pc.starts_with(paths, "/"), paths, below))
    names = _below(_normal(paths), roots[0])
    outside = pc.unique(names.filter(pc.starts_with(names, "../").fill_null(False))).to_pylist()
    if not outside:
        return names
    # `../im/1.png` may lead back into the folder, and may stand beside its absolute path
    absolute = {name: normpath(join(roots[0], name)) for name in outside}
    inside = {
        name: _below(pa.array([path]), roots[0])[0].as_py() for name, path in absolute.items()
    }
    back = {name: path for name, path in inside.items() if not path.startswith("/")}
    same = {path: name for name, path in absolute.items() if name not in back}
    return _replaced(names, back | same)


def _normal(paths: pa.Array) -> pa.Array:
    odd = pc.match_substring_regex(paths, ODD).fill_null(False)
    if not odd.true_count:
        return paths
    found = pc.unique(paths.filter(odd)).to_pylist()
    return _replaced(paths, {path: re.sub("^//", "/", normpath(path)) for path in found})


def _below(paths: pa.Array, root: str) -> pa.Array:
    """Absolute paths below a folder, by its name or by where a link to it leads, as relative
    ones.
    """
    for start in {root, os.path.realpath(root)}:
        if pc.starts_with(paths, f"{start}/").true_count:
            paths = pc.replace_substring_regex(paths, f"^{re.escape(start)}/", "")
    return _replaced(paths, {root: "."})


def _replaced(paths: pa.Array, new: dict[str, str]) -> pa.Array:
    """The same with some of the paths as others."""
    place = pc.index_in(paths, pa.array(list(new), paths.type))
    return pc.coalesce(pa.array(list(new.values()), paths.type).take(place), paths)
