"""The public names: what documents and demos import, and what the reference explains."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from pathlib import Path

import pytest

import gradsound

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ("Composer", "Fastai", "Keras", "Lightning", "Transformers")
CALLBACKS = {f"{name}Callback" for name in FRAMEWORKS}  # not in __all__: see there
PUBLIC = {*gradsound.__all__, *CALLBACKS}
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
DEMOS = sorted(ROOT.glob("demos/*.py"))


def python_of(path: Path) -> str:
    """The Python code of a document, one snippet after the other, or of a script."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("path", [*DOCUMENTS, *DEMOS], ids=lambda path: path.name)
def test_documents_and_demos_import_public_names_alone(path: Path) -> None:
    """Every import is of gradsound itself, and every name used of it is public."""
    for node in ast.walk(ast.parse(python_of(path))):
        if isinstance(node, ast.Import):
            assert not [a.name for a in node.names if a.name.startswith("gradsound.")]
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "gradsound":
                assert {alias.name for alias in node.names} <= PUBLIC
            assert not node.module.startswith("gradsound.")
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "gradsound":
            assert node.attr in PUBLIC | {"__version__"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_prose_names_no_module_as_something_to_import(path: Path) -> None:
    """What prose calls gradsound.NAME is public."""
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    names = set(re.findall(r"`gradsound\.([A-Za-z_]+)", prose))
    assert names <= PUBLIC


def test_the_reference_explains_every_public_name_and_no_other() -> None:
    """One entry in docs/api.rst for each."""
    text = (ROOT / "docs" / "api.rst").read_text()
    entry = r"^\.\. (?:auto)?(?:function|class|data|exception):: (\w+)(?:\(\))?$"
    assert sorted(re.findall(entry, text, re.MULTILINE)) == sorted(PUBLIC)


def test_every_public_name_is_found_where_it_is_asked_for() -> None:
    """dir() lists it, and an unknown name is an AttributeError."""
    assert set(dir(gradsound)) >= PUBLIC
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        gradsound.nothing  # noqa: B018 (asked for its error)


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize("name", [n for n in gradsound.__all__ if not n.isupper()])
def test_examples_in_docstrings_run(name: str) -> None:
    """Every public function has an example, and every example prints what it says."""
    Path("run.jsonl").symlink_to(ROOT / "samples/runs/2-sgd-lr0.1-batch10.jsonl")
    public = getattr(gradsound, name)
    docstrings = doctest.DocTestFinder().find(public, name, globs={"gradsound": gradsound})
    examples = [docstring for docstring in docstrings if docstring.examples]
    if inspect.isfunction(public):
        assert examples, f"gradsound.{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for docstring in examples:
        report: list[str] = []
        runner.run(docstring, out=report.append)
        assert not report, "".join(report)
