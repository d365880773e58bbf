"""Configuration of Sphinx: ``python -m sphinx -W --keep-going docs docs/_build``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

import devtensor

project = "devtensor"
author = "The devtensor developers"
copyright = "The devtensor developers; MIT licence"
version = release = devtensor.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build", "README.md"]
html_theme = "pydata_sphinx_theme"
html_title = f"devtensor {version}"
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}
html_sidebars = {page: [] for page in ("start", "article", "differences", "how-it-works")}
default_role = "code"
highlight_language = "python"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False


def setup(app):
    """Write the pages that follow from the catalogue before the others are read."""
    app.connect("builder-inited", lambda app: generate.write(Path(app.srcdir)))
