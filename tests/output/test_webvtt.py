"""Captions: what is in the file is what any reader of WebVTT finds."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import webvtt
from helpers.runs import make_run
from helpers.scores import moments
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.music.captions import Caption, clock
from gradsound.music.composer import Composer
from gradsound.output.webvtt import write_captions


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0:00"),
        (42.9, "0:42"),
        (3599, "59:59"),
        (3723, "1:02:03"),
        (360_000, "100:00:00"),
    ],
)
def test_times_are_said_as_people_do(seconds: float, said: str) -> None:
    """Minutes and seconds, and hours where there are any."""
    assert clock(seconds) == said


def test_a_caption_is_shown_until_the_next_or_five_seconds(tmp_path: Path) -> None:
    """Those at the same time together."""
    times = [(0.0, "a"), (3.0, "b"), (3.0, "c"), (60.0, "d"), (3601.5, "e")]
    write_captions(tmp_path / "x.vtt", [Caption(t, text, "spike") for t, text in times])
    found = [(c.start, c.end, c.text) for c in webvtt.read(tmp_path / "x.vtt")]

    assert found == [
        ("00:00:00.000", "00:00:03.000", "a"),
        ("00:00:03.000", "00:00:08.000", "b\nc"),
        ("00:01:00.000", "00:01:05.000", "d"),
        ("01:00:01.500", "01:00:06.500", "e"),
    ]


def test_a_caption_can_be_read(tmp_path: Path) -> None:
    """It is shown for two seconds beside one that follows at once."""
    times = [(21.0, "epoch 2"), (21.07, "NaN"), (21.14, "spike"), (24.0, "end")]
    write_captions(tmp_path / "x.vtt", [Caption(t, text, "spike") for t, text in times])

    assert [(c.end, c.text) for c in webvtt.read(tmp_path / "x.vtt")] == [
        ("00:00:23.000", "epoch 2"),
        ("00:00:23.070", "NaN"),
        ("00:00:24.000", "spike"),
        ("00:00:29.000", "end"),
    ]


def test_every_minute_without_a_step_has_a_line() -> None:
    """While one is waited for, and none of it twice when steps come again."""
    run, preset = make_run([[1.0, 2.0]] * 4), gradsound.PRESETS["notes"]
    composer, made = Composer(run.header.layers, preset), moments(run, preset)
    end = 0.0
    for moment in (made[0], made[1]):
        composer.compose([moment], np.array([end]), np.array([0.5]))
        end += 0.5
        for _ in range(10 * 90):
            assert composer.idle(None, end) is None
            end += 0.1
    composer.compose(made[2:], np.array([end, 240.0]), np.array([240.0 - end, 0.5]))

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
    """Names of layers may hold whatever means something in WebVTT."""
    path = tmp_path_factory.mktemp("any") / "x.vtt"
    told = [f"x{text} --> <b>&y" for text in texts]
    write_captions(path, [Caption(9.0 * k, text, "") for k, text in enumerate(told)])
    shown = [c.raw_text for c in webvtt.read(path)]

    assert len(shown) == len(texts)
    assert all("-->" not in text and "<" not in text for text in shown)


def test_captions_are_beside_the_sound(tmp_path: Path) -> None:
    """Of alarms and of every minute, whatever the format; or alone, the same."""
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


def test_captions_of_another_sound_are_not_lost_in_silence(tmp_path: Path) -> None:
    """Of one name but for its ending; where they are the same, there is nothing to say."""
    run, other = make_run([[1.0]] * 3), make_run([[2.0]] * 5)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for name in ("a.wav", "a.wav", "a.flac"):
            gradsound.render(run, tmp_path / name)
        assert not told
        gradsound.render(other, tmp_path / "a.ogg")
        (warning,) = told
        gradsound.render(run, tmp_path / "a.vtt")  # as was asked for
        gradsound.render(other, tmp_path / "b.wav")
        assert told == [warning]

    assert warning.category is GradsoundWarning
    what = "a.vtt: has the captions of a.ogg now, and no longer those of a.wav, a.flac"
    assert what in str(warning.message)
    assert "3 steps" in (tmp_path / "a.vtt").read_text()


def test_where_it_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the path."""
    with pytest.raises(OSError, match="No such file") as told:
        write_captions(tmp_path / "no" / "x.vtt", [])

    assert told.value.filename == str(tmp_path / "no" / "x.vtt")
