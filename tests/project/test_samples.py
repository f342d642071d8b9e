"""Samples: the code renders them as they are; `python demos/samples.py` renews them."""

from __future__ import annotations

import base64
import json
import re
import runpy
import zlib
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

import gradsound

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
# Vorbis itself is 31 dB below what it codes. An encoder whose floats are rounded otherwise
# decides otherwise here and there: 55 dB below. What was stale was 49 and more.
_CODING_ERROR_MAX = -50.0  # dB
_PIXEL_ERROR_MAX = 1e-3  # of white, on average; other fonts or lines are more


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs the script in a folder of its own; returns the folder."""
    folder = tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "demos"))
        script = runpy.run_path(str(ROOT / "demos" / "samples.py"))
    script["write_sounds"](folder)
    script["write_pages"](folder)
    script["write_pictures"](folder)
    return folder


def names(folder: Path) -> set[str]:
    """Paths of the files in a folder, without the runs."""
    paths = {path.relative_to(folder) for path in folder.rglob("*.*")}
    return {str(path) for path in paths if path.parts[0] != "runs"}


def test_there_are_all_and_no_others(rendered: Path) -> None:
    """The script writes every sample and no other file."""
    assert names(SAMPLES) == names(rendered)


def test_what_is_lossless_is_the_same(rendered: Path) -> None:
    """FLAC samples have the same frames, captions the same letters."""
    for path in rendered.rglob("*.flac"):
        sample = SAMPLES / path.relative_to(rendered)
        now, before = (soundfile.read(one, dtype="int16")[0] for one in (path, sample))
        np.testing.assert_array_equal(before, now, err_msg=path.name)
    for path in rendered.rglob("*.vtt"):
        assert (SAMPLES / path.relative_to(rendered)).read_text() == path.read_text()


def test_what_is_coded_is_the_same_but_for_the_coding(rendered: Path) -> None:
    """An Ogg sample differs by no more than another Vorbis encoder's would."""
    for path in rendered.rglob("*.ogg"):
        now, _ = soundfile.read(path)
        before, _ = soundfile.read(SAMPLES / path.relative_to(rendered))
        assert now.shape == before.shape, path.name
        error = np.sum((now - before) ** 2) / np.sum(now**2)
        assert 10 * np.log10(error + 1e-20) < _CODING_ERROR_MAX, path.name


def test_pages_play_the_same(rendered: Path) -> None:
    """The recordings in pages are equal; a page of an older version still plays its own."""

    def recording(page: Path) -> bytes:
        (found,) = re.findall(r'id="recording">([^<]*)<', page.read_text())
        return zlib.decompress(base64.b64decode(found))

    pages = [*rendered.glob("*.html")]
    assert len(pages) == 8
    for path in pages:
        assert recording(SAMPLES / path.name) == recording(path), path.name


@pytest.mark.skipif(
    tuple(map(int, matplotlib.__version__.split(".")[:2])) < (3, 11),
    reason="the pictures are of matplotlib 3.11, which sets letters otherwise",
)
def test_pictures_are_the_same(rendered: Path) -> None:
    """Pictures differ by no more than another version of the fonts would change."""
    for path in rendered.rglob("*.png"):
        now, before = imread(path), imread(SAMPLES / path.relative_to(rendered))
        assert now.shape == before.shape, path.name
        assert np.abs(now - before).mean() < _PIXEL_ERROR_MAX, path.name


def test_every_demo_that_plays_other_numbers_is_on_their_page() -> None:
    """docs/seeds.md has the command, the sound and the picture of each."""
    page = (ROOT / "docs" / "seeds.md").read_text()
    demos = sorted(path.stem for path in SAMPLES.glob("runs/seeds/*.json"))
    for reference in (
        r"`python demos/(\w+)\.py`",
        r"seeds/(\w+)\.ogg",
        r"seeds/(\w+)\.png",
    ):
        assert sorted(re.findall(reference, page)) == demos


def test_a_kept_run_and_its_preset_are_those_that_a_demo_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run has the same norms, gaps and values after it was kept; presets are equal."""
    monkeypatch.syspath_prepend(str(ROOT / "demos"))
    kept = runpy.run_path(str(ROOT / "demos" / "kept_runs.py"))
    header = gradsound.Header(layers=("a", "b"), parameters=(0, 3), start="")
    norms = np.array([[1 / 3, np.nan], [np.inf, 1e-30], [0, 2 / 3]], np.float32)
    absent = np.array([[False, False], [False, True], [True, False]])
    values: list[dict[str, float]] = [{"error": 1 / 3}, {}, {"error": 1 / 7}]
    steps = [
        gradsound.Step(k, k / 8, norms[k], absent[k], values=values[k]) for k in range(3)
    ]
    kept["write_run"](gradsound.Run(header, steps), tmp_path / "run.jsonl.gz")
    run = gradsound.read_run(tmp_path / "run.jsonl.gz")

    assert (run.header.layers, run.header.parameters) == (("a", "b"), (0, 3))
    for step, norm, gap, value in zip(run.steps, norms, absent, values, strict=True):
        np.testing.assert_array_equal(step.absent, gap)
        np.testing.assert_array_equal(step.norms[~gap], norm[~gap])
        assert dict(step.values) == value
    drive = gradsound.Drive(value="error", drives="tempo", low=1, high=2)
    own = replace(
        gradsound.PRESETS["chord"], voice=lambda phase: np.sin(6 * phase), drives=(drive,)
    )
    for preset in (*gradsound.PRESETS.values(), own):
        data = json.loads(json.dumps(kept["encode_preset"](preset)))
        assert kept["decode_preset"](data) == preset


def test_they_are_small() -> None:
    """A clone of the repository downloads 6 MB of samples at most."""
    sizes = [path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()]
    assert sum(sizes) < 6_000_000
