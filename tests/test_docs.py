"""What README and docs show is true: every example in them is run."""

import doctest
import importlib
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import devtensor as dt
from devtensor.op import Op, catalogue
from devtensor_numpy.namespace import EXTRAS

ROOT = Path(__file__).parent.parent
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.rst"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NEEDED = ("index", "start", "article", "differences", "how-it-works", "adding-an-op", "backends")


def shown(path):
    """The text of a page; of Markdown only what stands in blocks of code, other lines empty."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md":
        return text
    kept, language = [], None
    for line in text.splitlines():
        if line.startswith("```"):
            language = line.removeprefix("```") if language is None else None
            kept.append("")
        else:
            kept.append(line if language == "python" else "")
    return "\n".join(kept) + "\n"


def run_examples(text, name, **names):
    """Run the examples of a text; the catalogue is as before afterwards."""
    test = doctest.DocTestParser().get_doctest(text, names, name, name, 0)
    report = []
    before = dict(catalogue)
    try:
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    finally:
        catalogue.clear()
        catalogue.update(before)
    return len(test.examples), "".join(report)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{page}" for page in PAGES)])
def test_pages(page):
    count, report = run_examples(shown(ROOT / page), page)
    assert not report, report
    if page == "README.md" or page.split("/")[1].removesuffix(".rst") in (
        "start",
        "article",
        "differences",
    ):
        assert count > 10


def modules():
    for package in (dt, importlib.import_module("devtensor_numpy")):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # The alias refuses where PyTorch is, as here: tests/test_run.py tries it.
            if not found.name.endswith(("__main__", "alias.torch")):
                yield found.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_docstrings(name):
    module = importlib.import_module(name)
    wrong = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        if test.examples:
            _, report = run_examples(test.docstring, test.name, dt=dt)
            wrong.append(report)
    assert not "".join(wrong), "".join(wrong)


def test_the_guide_is_complete():
    index = (ROOT / "docs/index.rst").read_text(encoding="utf-8")
    for page in NEEDED:
        assert f"{page}.rst" in PAGES
        assert page == "index" or f"   {page}\n" in index
    for reference in re.findall(
        r":doc:`([^`<>]+)`", "".join(shown(ROOT / f"docs/{p}") for p in PAGES)
    ):
        assert f"{reference}.rst" in PAGES or reference.startswith("generated/"), reference


def test_the_guide_names_every_field_of_an_operation():
    fields = set(inspect.signature(Op).parameters) - {"kernel"}
    assert fields <= set(re.findall(r"``(\w+)``", shown(ROOT / "docs/adding-an-op.rst")))


ARTICLE = """\
`y_pred.requires_grad` before `no_grad()`: True
`y_pred.requires_grad` inside `no_grad()`: False
RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
`x.requires_grad` inside `no_grad()`: True
`y_pred.requires_grad` inside `no_grad()`: False
`x.requires_grad` inside `no_grad()`: False
`x.requires_grad` after `requires_grad_()`: True
`y.requires_grad` in `no_grad()`: False
`z.requires_grad` in `enable_grad()`: True
`x.requires_grad` after `requires_grad_`: True
RuntimeError: Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.
"""
"""What the article prints, but for the version."""


def test_the_article_prints_what_it_says():
    text = shown(ROOT / "docs/article.rst")
    printed = []
    names = {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    for example in doctest.DocTestParser().get_examples(text):
        try:
            exec(compile(example.source, "article", "exec"), names)
        except RuntimeError:
            assert example.exc_msg is not None
    told = [line for line in printed if line.startswith(("`", "RuntimeError"))]
    for line, wanted in zip(told, ARTICLE.splitlines(), strict=True):
        assert line.startswith(wanted)


def test_readme_has_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .*$", text, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("-m devtensor train")
    assert "'.[test,xpu]'" in commands[1] and "-m pytest" in commands[1]
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "grep '^python3 -m venv ' README.md" in ci


def test_what_contributing_names_is_run_by_ci():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    for command in (
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "python -m sphinx -W",
        "python tests/benchmarks/run.py",
    ):
        assert command in text
        assert command in ci


def test_links_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
            assert link.startswith("http") or (ROOT / link).exists(), link


def test_extras_have_descriptions():
    namespace = importlib.import_module("devtensor_numpy.namespace")
    for name in EXTRAS.split():
        assert inspect.getdoc(getattr(namespace, name)), name


def test_changelog_starts_with_what_comes_next():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert dt.__version__ == version
    assert re.search(r"^## (Unreleased|" + re.escape(version) + ")", text, re.MULTILINE)
