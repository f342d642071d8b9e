"""Packaging: the wheel and the source distribution, from a clean build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

import gradsound

ROOT = Path(__file__).parents[2]
_OUTPUT_FOLDERS = {ROOT / name for name in ("build", "dist", "out", "gradsound.egg-info")}
_WITHOUT_TORCH = """
import sys
import gradsound

available = {name for name in gradsound.__all__ if getattr(gradsound, name) is not None}
assert available == set(gradsound.__all__)
assert "torch" not in sys.modules
try:
    gradsound.attach(None)
except ImportError as error:
    print(error)
"""


def run(*command: object, folder: Path) -> str:
    """Runs a command, which must succeed; returns its output."""
    # Only what is installed is found; without bytecode, setuptools would warn.
    excluded = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: os.environ[name] for name in os.environ if name not in excluded}
    process = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


def unpublished(folder: str, names: list[str]) -> set[str]:
    """Names in a checkout that git does not track."""
    hidden = {name for name in names if name.startswith(".") or name == "__pycache__"}
    return hidden | {name for name in names if Path(folder, name) in _OUTPUT_FOLDERS}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Builds the source distribution, and the wheel from it."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=unpublished)
    output = run(sys.executable, "-m", "build", folder=source)
    assert not re.search("warning:|deprecat", output, re.IGNORECASE), output
    (sdist,) = source.glob("dist/*.tar.gz")
    (wheel,) = source.glob("dist/*.whl")
    return sdist, wheel


def read_metadata(wheel: Path) -> EmailMessage:
    """Reads the metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(archive.read(name), policy=policy.default)


def test_the_wheel_is_the_package(distributions) -> None:
    """The wheel has every file of the package, also the page and py.typed, and no other."""
    _, wheel = distributions
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = (path for path in ROOT.glob("gradsound/**/*") if path.is_file())
    files = {str(path.relative_to(ROOT)) for path in package if path.suffix != ".pyc"}

    assert {"gradsound/py.typed", "gradsound/web/page/index.html"} < files
    assert "gradsound/web/one_file/connection.js" in files
    assert packed == files


def test_the_source_is_the_repository(distributions) -> None:
    """The source distribution has every file that its tests read."""
    sdist, _ = distributions
    with tarfile.open(sdist) as archive:
        members = [member.name for member in archive if member.isfile()]
    packed = {name.partition("/")[2] for name in members if ".egg-info/" not in name}
    copy = sdist.parents[1]
    files = {path for path in copy.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    names = {str(path.relative_to(copy)) for path in files if path.parent != sdist.parent}

    names = {name for name in names if ".egg-info" not in name}
    assert {"tests/conftest.py", "samples/legend.ogg", "demos/mnist/README.md"} < names
    assert packed - names == {"PKG-INFO"}
    assert names <= packed


def test_an_index_can_show_it(distributions) -> None:
    """The description renders, and is the README without its relative links."""
    sdist, wheel = distributions
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, folder=ROOT)
    description = read_metadata(wheel).get_content()
    readme = (ROOT / "README.md").read_text()

    assert not re.findall(r"\]\((?!https?://)", description)
    code = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
    assert code.findall(description) == code.findall(readme)
    assert re.findall(r"^#.*", description, re.MULTILINE) == re.findall(
        r"^#.*", readme, re.MULTILINE
    )


def test_it_says_what_it_runs_on(distributions) -> None:
    """Metadata, ruff and tox name the same oldest Python."""
    _, wheel = distributions
    metadata = read_metadata(wheel)
    versions = [
        line.rpartition(" ")[2]
        for line in metadata.get_all("Classifier")
        if re.search(r":: 3\.\d+$", line)
    ]

    assert metadata["Requires-Python"] == f">={versions[0]}"
    assert f'target-version = "py{versions[0].replace(".", "")}"' in (
        ROOT / "pyproject.toml"
    ).read_text(encoding="utf-8")
    environments = re.search(r"env_list = (.*)", (ROOT / "tox.ini").read_text())[1]
    numbers = [name.replace(".", "") for name in versions]
    assert environments.split(", ") == [*(f"py{number}" for number in numbers), "lowest"]


def test_the_wheel_works_alone(distributions, tmp_path: Path) -> None:
    """The wheel renders in an environment that has only its requirements, without torch."""
    _, wheel = distributions
    run(sys.executable, "-m", "venv", tmp_path / "venv", folder=tmp_path)
    scripts = Path("venv", "Scripts" if os.name == "nt" else "bin")
    python = tmp_path / scripts / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--constraint", ROOT / "constraints.txt", wheel, folder=tmp_path)
    command = tmp_path / scripts / "gradsound"
    version = f"gradsound {gradsound.__version__}\n"
    sample = ROOT / "samples/runs/3-sgd-lr1-batch10.jsonl"

    assert run(command, "--version", folder=tmp_path) == version
    assert run(python, "-m", "gradsound", "--version", folder=tmp_path) == version
    assert "usage: gradsound" in run(python, "-m", "gradsound", "--help", folder=tmp_path)
    run(command, "render", sample, "-o", "there.wav", folder=tmp_path)
    gradsound.render(sample, tmp_path / "here.wav")
    assert (tmp_path / "there.wav").read_bytes() == (tmp_path / "here.wav").read_bytes()
    output = run(python, "-c", _WITHOUT_TORCH, folder=tmp_path)
    assert output == "torch is not installed: pip install torch\n"


@pytest.mark.parametrize("how", [("-c", "import gradsound; gradsound.attach"), ("-m",)])
def test_a_folder_of_the_same_name_hides_nothing(
    how: tuple[str, ...], tmp_path: Path
) -> None:
    """Python imports the package also in the folder above a checkout called gradsound."""
    (tmp_path / "gradsound").mkdir()
    command = [
        sys.executable,
        *how,
        *(["gradsound", "--version"] if how == ("-m",) else []),
    ]
    run(*command, folder=tmp_path)


def test_make_installs_so_that_no_folder_hides_the_package() -> None:
    """Every editable installation puts the checkout itself on the path."""
    makefile = (ROOT / "Makefile").read_text()
    assert "EDITABLE := --config-settings editable_mode=compat --editable" in makefile
    assert "--editable '" not in makefile
