"""Markers and data in WAV files: libsndfile reads the markers, gradsound its own data."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.wav import read_markers
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.output.wav_markers import add_markers, read_data

RATE = 44_100
MARKERS = [(0, "epoch 1"), (441, "step 7: NaN in blöck"), (RATE - 1, "x" * 100)]
SUBTYPES = pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])


def noise_file(path: Path, subtype: str = "PCM_16", frames: int = RATE) -> Path:
    """Writes a WAV file of noise on one channel."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, frames)
    soundfile.write(path, noise, RATE, subtype)
    return path


def chunks(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of each chunk, as the format's specification lists them."""
    assert content[:4] + content[8:12] == b"RIFFWAVE"
    position = 12
    while position < len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        yield name.decode(), content[position + 8 : position + 8 + size]
        assert content[position + 8 + size : position + 8 + size + size % 2] in (b"", b"\0")
        position += 8 + size + size % 2
    assert position == len(content)


@SUBTYPES
@pytest.mark.parametrize("frames", [RATE, RATE + 1])
def test_libsndfile_reads_frames_and_labels(
    tmp_path: Path, subtype: str, frames: int
) -> None:
    """Libsndfile finds each marker, and the samples stay as they were."""
    path = noise_file(tmp_path / "x.wav", subtype, frames)
    before, _ = soundfile.read(path)
    add_markers(path, MARKERS, b"ours")
    after, _ = soundfile.read(path)

    assert read_markers(path) == MARKERS
    assert np.array_equal(before, after)
    assert struct.unpack("<I", path.read_bytes()[4:8])[0] == path.stat().st_size - 8


@pytest.mark.parametrize("data", [b"x", b"xy", b"xyz"])
@pytest.mark.parametrize("label", ["odd", "even"])
@pytest.mark.parametrize("frames", [50, 51])
def test_chunks_begin_at_even_bytes(
    tmp_path: Path, frames: int, label: str, data: bytes
) -> None:
    """A byte that no size counts pads each chunk of odd length, the samples' too."""
    path = noise_file(tmp_path / "x.wav", "PCM_24", frames)
    add_markers(path, [(9, label)], data)
    contents = dict(chunks(path.read_bytes()))
    labels = contents["LIST"]
    (size,) = struct.unpack_from("<I", labels, 8)

    assert contents["grad"] == data
    assert contents["cue "] == struct.pack("<III4sIII", 1, 1, 9, b"data", 0, 0, 9)
    assert len(contents["data"]) == 3 * frames
    assert labels[12:16] == struct.pack("<I", 1)
    assert labels[16 : 12 + size] == label.encode() + b"\0"
    assert len(labels) == 12 + size + size % 2
    assert path.stat().st_size % 2 == 0
    assert soundfile.info(path).frames == frames


def test_a_file_that_lacks_its_last_padding_gets_it(tmp_path: Path) -> None:
    """Some writers omit the byte after samples of odd length: the markers follow it."""
    path = noise_file(tmp_path / "x.wav", "PCM_24", 51)
    content = path.read_bytes()
    data = content.index(b"data") + 8
    path.write_bytes(content[: data + 3 * 51])
    add_markers(path, [(9, "here")], b"ours")

    assert dict(chunks(path.read_bytes()))["grad"] == b"ours"
    assert read_data(path) == b"ours"
    assert read_markers(path) == [(9, "here")]


def test_nul_in_a_label_becomes_a_space(tmp_path: Path) -> None:
    """A label ends at the first NUL, so the text after one would be lost."""
    path = noise_file(tmp_path / "x.wav")
    add_markers(path, [(9, "a\0b"), (10, "\ud800")])

    assert read_markers(path) == [(9, "a b"), (10, "?")]


def test_data_comes_back(tmp_path: Path) -> None:
    """`read_data` returns data of any length, with or without markers; else None."""
    for data in (b"x", b"xy", os.urandom(100_001)):
        for markers in (MARKERS, []):
            path = noise_file(tmp_path / "x.wav")
            add_markers(path, markers, data)
            assert read_data(path) == data
            assert soundfile.info(path).frames == RATE

    assert read_data(noise_file(tmp_path / "y.wav")) is None


def test_without_markers_and_data_a_file_stays_the_same(tmp_path: Path) -> None:
    """No empty chunk is added."""
    path = noise_file(tmp_path / "x.wav")
    before = path.read_bytes()
    add_markers(path, [])

    assert path.read_bytes() == before


def test_data_that_is_cut_off_is_no_data(tmp_path: Path) -> None:
    """`read_data` returns all bytes or None."""
    path = noise_file(tmp_path / "x.wav")
    add_markers(path, [], b"0123456789")
    path.write_bytes(path.read_bytes()[:-1])

    assert read_data(path) is None


def test_markers_outside_the_sound_are_left_out(tmp_path: Path) -> None:
    """Every marker points at a frame of the file."""
    path = noise_file(tmp_path / "x.wav")
    add_markers(path, [(-1, "early"), *MARKERS, (RATE, "late"), (10**9, "later")])

    assert read_markers(path) == MARKERS


def test_two_channels_share_a_frame(tmp_path: Path) -> None:
    """A stereo file of N frames has markers up to frame N - 1."""
    soundfile.write(tmp_path / "x.wav", np.zeros((RATE, 2)), RATE, "PCM_16")
    add_markers(tmp_path / "x.wav", [*MARKERS, (RATE, "late")])

    assert read_markers(tmp_path / "x.wav") == MARKERS


def test_a_full_file_is_refused(tmp_path: Path) -> None:
    """`add_markers` raises before it writes, and only if the last byte does not fit."""
    path = noise_file(tmp_path / "x.wav")
    before = path.read_bytes()
    add_markers(path, MARKERS)
    size = path.stat().st_size - 8
    path.write_bytes(before)
    with pytest.raises(ValueError, match=r"x.wav: has no room for markers"):
        add_markers(path, MARKERS, max_size=size - 1)
    assert path.read_bytes() == before

    add_markers(path, MARKERS, max_size=size)
    assert read_markers(path) == MARKERS


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-2, False)])
def test_a_file_holds_4_gib(tmp_path: Path, spare: int, fits: bool) -> None:
    """By default, the size in the file's header is at most its largest even number."""
    path, added = tmp_path / "x.wav", 8 + 10  # bytes of a chunk of ten bytes
    size = 2**32 - 2 - added - spare  # bytes after the first 8
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    path.write_bytes(
        struct.pack("<4sI4s4sI", b"RIFF", size, b"WAVE", b"fmt ", len(form))
        + form
        + struct.pack("<4sI", b"data", size - 36)
    )
    os.truncate(path, size + 8)  # sparse: it takes no room on the disk
    with nullcontext() if fits else pytest.raises(ValueError, match="has no room"):
        add_markers(path, [], b"0123456789")

    size += added if fits else 0
    with path.open("rb") as file:
        assert struct.unpack("<4sI", file.read(8)) == (b"RIFF", size)
    assert path.stat().st_size == size + 8
    path.unlink()


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF\0\0\0\0AIFF" * 9, bytes(range(99))]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """The error names the file, for reading and for writing."""
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.wav: is no WAV file"):
        read_data(tmp_path / "x.wav")
    with pytest.raises(ValueError, match=r"x.wav: is no WAV file"):
        add_markers(tmp_path / "x.wav", MARKERS)


@given(st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, data) -> None:
    """`read_data` raises only ValueError, and returns no more bytes than the file has."""
    path = noise_file(tmp_path_factory.mktemp("fuzz") / "x.wav", frames=50)
    add_markers(path, [(1, "a")], b"ours")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ValueError):  # tested above
        ours = read_data(path)
        assert ours is None or len(ours) <= len(content)


def test_alarms_and_epochs_are_markers(tmp_path: Path) -> None:
    """A rendered WAV file has a marker at the frame at which each of them sounds."""
    run = make_run([[1.0, 2.0]] * 8 + [[1.0, float("nan")]] * 2)
    steps = [
        gradsound.Step(s.number, s.time, s.norms, s.absent, values={"epoch": s.number // 5})
        for s in run.steps
    ]
    gradsound.render(gradsound.Run(run.header, steps), tmp_path / "x.wav")
    markers = read_markers(tmp_path / "x.wav")
    step = 12_348  # frames

    assert [label for _, label in markers] == [
        "step 0: epoch 0",
        "step 5: epoch 1",
        "step 8: NaN in layer1",
        "step 9: end of the run: 10 steps in 3.0 s",
    ]
    assert [frame for frame, _ in markers[:2]] == [0, 5 * step]
    assert markers[2][0] == 8 * step + 6174  # after the step's two notes
    samples, _ = soundfile.read(tmp_path / "x.wav")
    assert np.abs(samples[markers[2][0] : markers[2][0] + 2000]).max() > 0.02


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 255),
        ("é" * 200, "é" * 127),
        ("x" + "😀" * 80, "x" + "😀" * 63),
        ("xy" + "层" * 80 + "\ud800" * 90, "xy" + "层" * 80 + "?" * 13),
    ],
)
def test_long_labels_end_at_a_character(tmp_path: Path, label: str, kept: str) -> None:
    """Libsndfile shows 255 bytes: a label has as many whole characters as fit."""
    path = noise_file(tmp_path / "x.wav")
    add_markers(path, [(9, label), (10, "next")])

    assert read_markers(path) == [(9, kept), (10, "next")]
    assert kept.encode() + b"\0" in path.read_bytes()
