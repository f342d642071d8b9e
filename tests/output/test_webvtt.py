"""WebVTT files: a reader of WebVTT finds each caption with its text and its time."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import webvtt
from helpers.runs import make_run
from helpers.scores import make_moments
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.music.captions import Caption, format_time
from gradsound.music.composer import Composer
from gradsound.output.webvtt import write_captions


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (42.9, "0:42"),
        (3599, "59:59"),
        (3723, "1:02:03"),
        (360_000, "100:00:00"),
    ],
)
def test_times_have_hours_only_if_needed(seconds: float, text: str) -> None:
    """A time is minutes and seconds, with hours from one hour on."""
    assert format_time(seconds) == text


def test_a_caption_is_shown_until_the_next_or_for_five_seconds(tmp_path: Path) -> None:
    """Captions of the same time share a cue."""
    times = [(0.0, "a"), (3.0, "b"), (3.0, "c"), (60.0, "d"), (3601.5, "e")]
    write_captions(tmp_path / "x.vtt", [Caption(t, text, "spike") for t, text in times])
    cues = [(c.start, c.end, c.text) for c in webvtt.read(tmp_path / "x.vtt")]

    assert cues == [
        ("00:00:00.000", "00:00:03.000", "a"),
        ("00:00:03.000", "00:00:08.000", "b\nc"),
        ("00:01:00.000", "00:01:05.000", "d"),
        ("01:00:01.500", "01:00:06.500", "e"),
    ]


def test_a_caption_is_shown_for_at_least_two_seconds(tmp_path: Path) -> None:
    """Cues overlap where another caption follows sooner."""
    times = [(21.0, "epoch 2"), (21.07, "NaN"), (21.14, "spike"), (24.0, "end")]
    write_captions(tmp_path / "x.vtt", [Caption(t, text, "spike") for t, text in times])

    assert [(c.end, c.text) for c in webvtt.read(tmp_path / "x.vtt")] == [
        ("00:00:23.000", "epoch 2"),
        ("00:00:23.070", "NaN"),
        ("00:00:24.000", "spike"),
        ("00:00:29.000", "end"),
    ]


def test_every_minute_without_a_step_has_a_caption() -> None:
    """A minute has one caption, also when a step ends the pause."""
    run, preset = make_run([[1.0, 2.0]] * 4), gradsound.PRESETS["notes"]
    composer, moments = Composer(run.header.layers, preset), make_moments(run, preset)
    end = 0.0
    for moment in moments[:2]:
        composer.compose([moment], np.array([end]), np.array([0.5]))
        end += 0.5
        for _ in range(10 * 90):
            assert composer.idle(None, end) is None
            end += 0.1
    composer.compose(moments[2:], np.array([end, 240.0]), np.array([240.0 - end, 0.5]))

    assert [(caption.text, caption.kind) for caption in composer.captions] == [
        ("no step since step 0", "minute"),
        ("no step since step 1", "minute"),
        ("no step since step 1", "minute"),
        ("step 3: layer0 1, layer1 2", "minute"),
    ]
    times = [caption.time for caption in composer.captions]
    np.testing.assert_allclose(times, [60, 120, 180, 240], atol=0.11)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5))
def test_any_text_stays_one_cue(tmp_path_factory, texts: list[str]) -> None:
    """A caption's text, such as a layer's name, may contain the syntax of WebVTT."""
    path = tmp_path_factory.mktemp("any") / "x.vtt"
    captions = [f"x{text} --> <b>&y" for text in texts]
    write_captions(path, [Caption(9.0 * k, text, "") for k, text in enumerate(captions)])
    shown = [c.raw_text for c in webvtt.read(path)]

    assert len(shown) == len(texts)
    assert all("-->" not in text and "<" not in text for text in shown)


def test_only_the_syntax_of_webvtt_is_escaped(tmp_path: Path) -> None:
    """Players show ``&quot;`` as it is: quotes and apostrophes stay what they are."""
    text = """layers."0".'a' & <b> --> c"""
    write_captions(tmp_path / "x.vtt", [Caption(1.0, text, "spike")])
    lines = (tmp_path / "x.vtt").read_text().splitlines()

    assert lines[4] == """layers."0".'a' &amp; &lt;b&gt; --&gt; c"""


def test_line_breaks_in_a_caption_become_spaces(tmp_path: Path) -> None:
    """An empty line would end the cue."""
    write_captions(tmp_path / "x.vtt", [Caption(1.0, " a\n\n b\tc\u2028d ", "spike")])

    assert (tmp_path / "x.vtt").read_bytes() == (
        b"WEBVTT\n\n1\n00:00:01.000 --> 00:00:06.000\na b c d\n"
    )


def test_times_are_rounded_to_milliseconds(tmp_path: Path) -> None:
    """Captions that share a rounded time share a cue, and 59.9996 s is a minute."""
    times = [(0.0004, "a"), (0.00049, "b"), (0.0016, "c"), (59.9996, "d"), (360_000.0, "e")]
    write_captions(tmp_path / "x.vtt", [Caption(t, text, "spike") for t, text in times])
    spans = [
        line for line in (tmp_path / "x.vtt").read_text().splitlines() if line.count("-->")
    ]

    assert spans == [
        "00:00:00.000 --> 00:00:02.000",
        "00:00:00.002 --> 00:00:05.002",
        "00:01:00.000 --> 00:01:05.000",
        "100:00:00.000 --> 100:00:05.000",
    ]


def test_a_sound_without_captions_has_an_empty_file(tmp_path: Path) -> None:
    """Else a player would show the captions of an older sound of that name."""
    write_captions(tmp_path / "x.wav", [])

    assert (tmp_path / "x.vtt").read_bytes() == b"WEBVTT\n"


def test_every_sound_has_its_captions(tmp_path: Path) -> None:
    """Each format has the same captions, of alarms and of each minute."""
    norms = 10 ** np.random.default_rng(0).normal(0, 0.1, (400, 2))
    norms[300, 1] = 1e4
    run = make_run(norms.tolist())
    for name in ("a.wav", "b.flac", "c.ogg", "d.vtt"):
        gradsound.render(run, tmp_path / name)
    texts = {path.read_text() for path in tmp_path.glob("*.vtt")}
    shown = [c.text for c in webvtt.read(tmp_path / "a.vtt")]

    assert len(texts) == 1
    assert len([*tmp_path.iterdir()]) == 7
    assert [text.partition(":")[0] for text in shown[:2]] == ["step 215", "step 300"]
    assert shown[0] == (f"step 215: layer0 {norms[215, 0]:.3g}, layer1 {norms[215, 1]:.3g}")
    assert shown[1].startswith("step 300: spike in layer1, ")
    assert shown[-1] == "step 399: end of the run: 400 steps in 133.0 s"


def test_a_warning_names_the_sounds_whose_captions_are_replaced(tmp_path: Path) -> None:
    """Sounds of one name share captions, whatever the suffix; equal ones do not warn."""
    run, other = make_run([[1.0]] * 3), make_run([[2.0]] * 5)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for name in ("a.wav", "a.wav", "a.flac"):
            gradsound.render(run, tmp_path / name)
        assert not warned
        gradsound.render(other, tmp_path / "a.ogg")
        (warning,) = warned
        gradsound.render(run, tmp_path / "a.vtt")  # a user asked for this file
        gradsound.render(other, tmp_path / "b.wav")
        assert warned == [warning]

    assert warning.category is GradsoundWarning
    message = "a.vtt: the captions of a.ogg replaced those of a.wav, a.flac: give each"
    assert message in str(warning.message)
    assert "3 steps" in (tmp_path / "a.vtt").read_text()


def test_captions_that_are_no_text_are_replaced(tmp_path: Path, recwarn) -> None:
    """A file that is not UTF-8 has no captions that a warning could name."""
    (tmp_path / "a.vtt").write_bytes(b"\xff")
    (tmp_path / "a.wav").touch()
    write_captions(tmp_path / "a.flac", [])

    assert (tmp_path / "a.vtt").read_bytes() == b"WEBVTT\n"
    assert not recwarn


def test_an_error_names_the_file(tmp_path: Path) -> None:
    """The error has the path of the captions, and no temporary file is left."""
    with pytest.raises(OSError, match="No such file") as raised:
        write_captions(tmp_path / "no" / "x.vtt", [])
    assert raised.value.filename == str(tmp_path / "no" / "x.vtt")

    (tmp_path / "y.vtt").mkdir()
    with pytest.raises(IsADirectoryError) as raised:
        write_captions(tmp_path / "y.wav", [])
    assert raised.value.filename == str(tmp_path / "y.vtt")
    assert [path.name for path in tmp_path.iterdir()] == ["y.vtt"]
