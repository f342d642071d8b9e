"""Audacity's label files: lines that its import reads, with the times of the markers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.runs import make_run
from helpers.wav import read_markers

import gradsound
from gradsound.output.audacity_labels import write_labels


def read_labels(path: Path) -> list[tuple[float, float, str]]:
    """Reads a file as Audacity's import does: fields between tabs, a label a line.

    Audacity's tokenizer drops empty fields, and takes no line that does not begin with a
    number.
    """
    text = path.read_bytes().decode("utf-8")
    lines = re.split("\r\n|\n|\r", text)
    assert lines.pop() == ""  # the file ends with a line end
    labels = []
    for line in lines:
        start, end, title = re.split("\t+", line)
        labels.append((float(start), float(end), title))
    return labels


def test_labels_are_the_markers_of_the_wav_file(tmp_path: Path) -> None:
    """Each marker has a point label within a microsecond, and minutes have none."""
    norms = [[1.0, 0.5]] * 500 + [[float("nan"), 0.5]] * 3
    run = make_run(norms)
    gradsound.render(run, tmp_path / "x.wav")
    gradsound.render(run, tmp_path / "x.labels.txt")
    labels = read_labels(tmp_path / "x.labels.txt")
    markers = read_markers(tmp_path / "x.wav")

    assert [text for _, _, text in labels] == [text for _, text in markers]
    assert any("NaN" in text for _, _, text in labels)
    assert (tmp_path / "x.vtt").read_text().count("-->") > len(labels)
    for (start, end, _), (frame, _) in zip(labels, markers, strict=True):
        assert start == end
        assert abs(start - frame / 44_100) < 0.5 / 44_100 + 1e-6


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a b"),
        ("a\nb\r\nc\u2028d\x0be", "a b c d e"),
        ("a\0b", "a b"),
        ("\\ f0\t1.0", "\\ f0 1.0"),
        ("blöck 层", "blöck 层"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_any_text_stays_one_field(tmp_path: Path, text: str, shown: str) -> None:
    """No text of a run adds a field or a line, and all of it is UTF-8."""
    write_labels(tmp_path / "x.labels.txt", [gradsound.Caption(1.5, text, "spike")])

    assert read_labels(tmp_path / "x.labels.txt") == [(1.5, 1.5, shown)]


def test_labels_have_no_captions_beside_them(tmp_path: Path) -> None:
    """The file alone is written, also in capitals, and replaces an older one."""
    path = tmp_path / "Run.LABELS.TXT"
    path.write_text("old")
    gradsound.render(make_run([[1.0]] * 9), path)

    assert [*tmp_path.iterdir()] == [path]
    assert read_labels(path)[-1][2].startswith("step 8: end of the run")


def test_a_text_file_that_is_no_label_file_is_refused(tmp_path: Path) -> None:
    """The message names the endings that there are."""
    for name in ("run.txt", "labels.txt", ".labels.txt"):
        with pytest.raises(ValueError, match=r"\.wav, .*; \.labels\.txt is for labels of"):
            gradsound.render(make_run([[1.0]]), tmp_path / name)
    assert not [*tmp_path.iterdir()]
