"""WebVTT files: a reader of WebVTT finds each caption with its text and its time."""

from __future__ import annotations

import base64
import shutil
import subprocess
import warnings
from html import unescape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import webvtt
from helpers.browser import chromium
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


def seconds_of(timestamp: str) -> float:
    """Returns the seconds of 01:02:03.456."""
    parts = reversed(timestamp.split(":"))
    return sum(float(part) * 60**power for power, part in enumerate(parts))


def written(path: Path, times: list[float]) -> list[tuple[float, float, list[str]]]:
    """Writes captions at these times; returns begin, end and texts of each cue.

    The text of a caption is its time.
    """
    write_captions(path, [Caption(time, f"{time:g}", "spike") for time in times])
    return [
        (seconds_of(cue.start), seconds_of(cue.end), cue.lines) for cue in webvtt.read(path)
    ]


def test_names_need_not_be_unicode(tmp_path: Path) -> None:
    """A caption with a name of any bytes has their codes."""
    write_captions(tmp_path / "x.vtt", [Caption(0.0, "run\udcff: spike", "spike")])
    assert r"run\udcff: spike" in (tmp_path / "x.vtt").read_text("utf-8")


def test_a_cue_is_shown_until_the_next_or_for_five_seconds(tmp_path: Path) -> None:
    """Captions of the same time share a cue."""
    write_captions(
        tmp_path / "x.vtt",
        [
            Caption(time, text, "spike")
            for time, text in [(0, "a"), (3, "b"), (3, "c"), (60, "d"), (3601.5, "e")]
        ],
    )
    cues = [(c.start, c.end, c.text) for c in webvtt.read(tmp_path / "x.vtt")]

    assert cues == [
        ("00:00:00.000", "00:00:03.000", "a"),
        ("00:00:03.000", "00:00:08.000", "b\nc"),
        ("00:01:00.000", "00:01:05.000", "d"),
        ("01:00:01.500", "01:00:06.500", "e"),
    ]


@pytest.mark.parametrize(
    ("times", "cues"),
    [
        # Within a second, captions share a cue; later ones wait for its end.
        ([21, 21.07, 21.9, 30], [(21, 26, ["21", "21.07", "21.9"]), (30, 35, ["30"])]),
        ([21, 22, 30], [(21, 23, ["21"]), (23, 28, ["22"]), (30, 35, ["30"])]),
        (
            [21, 22, 23.9, 30],
            [(21, 23, ["21"]), (23, 28, ["22", "23.9"]), (30, 35, ["30"])],
        ),
        # The last captions share a cue, because the sound may end before the next one.
        ([21, 22.5, 22.9], [(21, 26, ["21", "22.5", "22.9"])]),
    ],
)
def test_captions_that_come_soon(tmp_path: Path, times: list[float], cues: list) -> None:
    """Each cue can be read before the next one begins."""
    assert written(tmp_path / "x.vtt", times) == cues


@given(st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_cues_do_not_overlap(tmp_path_factory, times: list[float]) -> None:
    """A cue lasts two seconds or more; no caption is lost or much too early or late."""
    times = sorted(times)
    cues = written(tmp_path_factory.mktemp("any") / "x.vtt", times)
    begins = [begin for begin, _, texts in cues for _ in texts]

    assert [text for _, _, texts in cues for text in texts] == [f"{t:g}" for t in times]
    assert all(end - begin >= 1.999 for begin, end, _ in cues)
    assert all(end <= later for (_, end, _), (later, _, _) in pairwise(cues))
    lateness = np.array(begins) - times
    assert lateness.max() < 1.001
    assert lateness.min() > -2.001


TRICKY = ["a & b <c> d > e --> f", "&amp; &quot; 'x' \"y\"", "NOTE z", "layers.0 {1}"]


def read_by_webvtt_py(path: Path) -> list[tuple[float, float, str]]:
    """Reads the cues by the package webvtt-py."""
    return [
        (seconds_of(cue.start), seconds_of(cue.end), unescape(cue.text))
        for cue in webvtt.read(path)
    ]


def read_by_ffmpeg(path: Path) -> list[tuple[float, float, str]]:
    """Reads the cues as ffmpeg does, which mpv uses; skips the test without ffmpeg."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "srt", "-"]
    blocks = subprocess.check_output(command, text=True).strip().split("\n\n")
    cues = []
    for block in blocks:
        _, span, *lines = block.splitlines()
        begin, end = map(seconds_of, span.replace(",", ".").split(" --> "))
        text = "\n".join(lines).replace("\\{", "{").replace("\\}", "}")  # escapes of ASS
        cues.append((begin, end, text))
    return cues


def read_by_chromium(path: Path) -> list[tuple[float, float, str]]:
    """Reads the cues as the track of a video does."""
    source = base64.b64encode(path.read_bytes()).decode()
    with chromium() as browser:
        page = browser.new_page()
        page.set_content(
            f'<video><track default src="data:text/vtt;base64,{source}"></video>'
        )
        page.wait_for_function("document.querySelector('track').readyState == 2")
        return [
            tuple(cue)
            for cue in page.evaluate(
                "[...document.querySelector('track').track.cues].map("
                "cue => [cue.startTime, cue.endTime, cue.getCueAsHTML().textContent])"
            )
        ]


@pytest.mark.parametrize("read", [read_by_webvtt_py, read_by_ffmpeg, read_by_chromium])
def test_players_agree(tmp_path: Path, read) -> None:
    """mpv, browsers and Python show the same text at the same time, whatever is in it."""
    times = [0.0, 0.5, 59.9996, 3601.5, 360_000.25]
    texts = [*TRICKY, "end"]
    captions = [Caption(time, text, "spike") for time, text in zip(times, texts)]
    write_captions(tmp_path / "x.vtt", captions)

    assert read(tmp_path / "x.vtt") == [
        (0.0, 5.0, f"{texts[0]}\n{texts[1]}"),
        (60.0, 65.0, texts[2]),
        (3601.5, 3606.5, texts[3]),
        (360_000.25, 360_005.25, "end"),
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
        ("step 3: norm 2.24, layer0 1, layer1 2", "minute"),
    ]
    times = [caption.time for caption in composer.captions]
    np.testing.assert_allclose(times, [60, 120, 180, 240], atol=0.11)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5))
def test_any_text_stays_one_cue(tmp_path_factory, texts: list[str]) -> None:
    """A caption's text, such as a layer's name, may contain the syntax of WebVTT."""
    path = tmp_path_factory.mktemp("any") / "x.vtt"
    captions = [f"x{text} --> <b>&y" for text in texts]
    write_captions(path, [Caption(9.0 * k, text, "") for k, text in enumerate(captions)])
    cue_texts = [c.raw_text for c in webvtt.read(path)]

    assert len(cue_texts) == len(texts)
    assert all("-->" not in text and "<" not in text for text in cue_texts)


def test_only_the_syntax_of_webvtt_is_escaped(tmp_path: Path) -> None:
    """Players show ``&quot;`` as it is: quotes and apostrophes stay what they are."""
    text = """layers."0".'a' & <b> --> c"""
    write_captions(tmp_path / "x.vtt", [Caption(1.0, text, "spike")])
    lines = (tmp_path / "x.vtt").read_text().splitlines()

    assert lines[3] == """layers."0".'a' &amp; &lt;b&gt; --&gt; c"""


def test_line_breaks_in_a_caption_become_spaces(tmp_path: Path) -> None:
    """An empty line would end the cue."""
    write_captions(tmp_path / "x.vtt", [Caption(1.0, " a\n\n b\tc\u2028d ", "spike")])

    assert (tmp_path / "x.vtt").read_bytes() == (
        b"WEBVTT\n\n00:00:01.000 --> 00:00:06.000\na b c d\n"
    )


def test_times_are_rounded_to_milliseconds(tmp_path: Path) -> None:
    """59.9996 s is a minute, also as the end of the cue before; hours have no limit."""
    times = [0.0004, 9.0016, 57.0, 59.9996, 360_000.0, 360_009.0]
    written(tmp_path / "x.vtt", times)
    lines = (tmp_path / "x.vtt").read_text().splitlines()

    assert [line for line in lines if "-->" in line] == [
        "00:00:00.000 --> 00:00:05.000",
        "00:00:09.002 --> 00:00:14.002",
        "00:00:57.000 --> 00:01:00.000",
        "00:01:00.000 --> 00:01:05.000",
        "100:00:00.000 --> 100:00:05.000",
        "100:00:09.000 --> 100:00:14.000",
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
    cue_texts = [c.text for c in webvtt.read(tmp_path / "a.vtt")]

    assert len(texts) == 1
    assert len([*tmp_path.iterdir()]) == 7
    assert [text.partition(":")[0] for text in cue_texts[:2]] == ["step 215", "step 300"]
    assert cue_texts[0] == (
        f"step 215: norm {np.linalg.norm(norms[215]):.3g}, "
        f"layer0 {norms[215, 0]:.3g}, layer1 {norms[215, 1]:.3g}"
    )
    assert cue_texts[1].startswith("step 300: spike in layer1, ")
    assert cue_texts[-1] == "step 399: end of the run: 400 steps in 2 min 13 s"


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
