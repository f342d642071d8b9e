"""Markers in WAV files, as libsndfile and whoever else reads them."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.wav import markers_of
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.output import wav_markers as module
from gradsound.output.wav_markers import add_markers, read_data

RATE = 44_100
GIVEN = [(0, "epoch 1"), (441, "step 7: NaN in blöck"), (RATE - 1, "x" * 100)]
SUBTYPES = pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])


def written(path: Path, subtype: str = "PCM_16", frames: int = RATE) -> Path:
    """A WAV file of noise on one channel."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, frames)
    soundfile.write(path, noise, RATE, subtype)
    return path


@SUBTYPES
@pytest.mark.parametrize("frames", [RATE, RATE + 1])
def test_libsndfile_finds_them(tmp_path: Path, subtype: str, frames: int) -> None:
    """With frames and labels; the sound stays as it was, however long."""
    path = written(tmp_path / "x.wav", subtype, frames)
    before, _ = soundfile.read(path)
    add_markers(path, GIVEN, b"ours")
    after, _ = soundfile.read(path)

    assert markers_of(path) == GIVEN
    assert np.array_equal(before, after)
    assert struct.unpack("<I", path.read_bytes()[4:8])[0] == path.stat().st_size - 8


def test_data_comes_back(tmp_path: Path) -> None:
    """Of any length, with markers or none; none where there is none."""
    for data in (b"x", b"xy", os.urandom(100_001)):
        for given_markers in (GIVEN, []):
            path = written(tmp_path / "x.wav")
            add_markers(path, given_markers, data)
            assert read_data(path) == data
            assert soundfile.info(path).frames == RATE

    assert read_data(written(tmp_path / "y.wav")) is None


def test_what_is_beyond_the_sound_is_left_out(tmp_path: Path) -> None:
    """No reader is led past the end."""
    path = written(tmp_path / "x.wav")
    add_markers(path, [*GIVEN, (RATE, "late"), (10**9, "later")])

    assert markers_of(path) == GIVEN


def test_what_has_no_room_is_refused(tmp_path: Path, monkeypatch) -> None:
    """Before anything is written."""
    path = written(tmp_path / "x.wav")
    before = path.read_bytes()
    monkeypatch.setattr(module, "_MOST", len(before) + 100)
    with pytest.raises(ValueError, match=r"x.wav: has no room for markers"):
        add_markers(path, GIVEN)

    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0AIFF" * 9, os.urandom(99)])
def test_what_is_no_wav_is_refused(tmp_path: Path, content: bytes) -> None:
    """In one sentence."""
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.wav: is no WAV file"):
        read_data(tmp_path / "x.wav")


@given(st.data())
def test_torn_and_changed_files_are_read_or_refused(tmp_path_factory, data) -> None:
    """Never another error, nor more bytes than there are."""
    path = written(tmp_path_factory.mktemp("fuzz") / "x.wav", frames=50)
    add_markers(path, [(1, "a")], b"ours")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ValueError):  # of which there is one, tested above
        found = read_data(path)
        assert found is None or len(found) <= len(content)


def test_alarms_and_epochs_are_marked(tmp_path: Path) -> None:
    """In a rendered WAV file, at the frames at which they sound."""
    run = make_run([[1.0, 2.0]] * 8 + [[1.0, float("nan")]] * 2)
    steps = [
        gradsound.runs.model.Step(
            s.number, s.time, s.norms, s.absent, values={"epoch": s.number // 5}
        )
        for s in run.steps
    ]
    gradsound.render(gradsound.Run(run.header, steps), tmp_path / "x.wav")
    found = markers_of(tmp_path / "x.wav")
    step = 12_348  # frames

    assert [label for _, label in found] == [
        "step 0: epoch 0",
        "step 5: epoch 1",
        "step 8: NaN in layer1",
        "step 9: end of the run: 10 steps in 3.0 s",
    ]
    assert [frame for frame, _ in found[:2]] == [0, 5 * step]
    assert found[2][0] == 8 * step + 6174  # after its two notes
    samples, _ = soundfile.read(tmp_path / "x.wav")
    assert np.abs(samples[found[2][0] : found[2][0] + 2000]).max() > 0.02
