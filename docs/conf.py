"""Settings of the documentation: `make docs`."""

import sys
from pathlib import Path

from polymodal import types

sys.path.insert(0, str(Path(__file__).parent))

project = "polymodal"
author = copyright = "the contributors of polymodal"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "parts"]
exclude_patterns = ["build"]
nitpicky = False  # the docstrings name types of torch and Lightning, whose own pages are not asked

html_theme = "furo"
html_title = "polymodal"
html_static_path = ["_static"]
html_css_files = ["wrap.css"]
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

default_role = "literal"  # a name in single backticks in a docstring
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name for name in vars(types) if name[0].isupper()
}  # PositiveInt, not Annotated[int, ...]
autodoc_class_signature = "mixed"
napoleon_use_rtype = False
napoleon_use_ivar = True  # else the fields of a named tuple are described twice
python_maximum_signature_line_length = 100
add_module_names = False
