"""Callbacks without their frameworks: the error names the package to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [
        ("composer", "ComposerCallback", "mosaicml"),
        ("fastai", "FastaiCallback", "fastai"),
        ("keras", "KerasCallback", "keras"),
    ],
)
def test_a_framework_that_is_not_installed(module: str, name: str, package: str) -> None:
    """The last line has the command that installs it."""
    code = f"""
import sys
from importlib.machinery import PathFinder

class Hiding:
    def find_spec(self, name, path=None, target=None):
        hidden = path is None and name == {module!r}
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding()
import gradsound
gradsound.{name}
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert process.stderr.splitlines()[-1] == (
        "gradsound.errors.MissingExtraError: "
        f"{package} is not installed: pip install {package}"
    )
