"""A legend: what each band, norm and alarm sounds like, one by one, with its name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webvtt
from helpers.runs import make_run
from helpers.scores import PLAIN
from helpers.wav import markers_of

import gradsound
from gradsound.alarms.thresholds import KINDS
from gradsound.music.captions import Caption
from gradsound.music.presets import Preset
from gradsound.music.value_mapping import Drive
from gradsound.rendering.legend import legend
from gradsound.runs.model import Run

RATE = 44_100
NAMES = tuple(f"{part}{k}" for part in ("conv", "fc", "out") for k in (0, 1))
RUN = make_run([[0.5, 0.5, 2.0, 2.0, 0.1, None]] * 40, NAMES)
ONE = make_run([[3.0]] * 40)
EXAMPLES = [
    "all of them, a usual step",
    "then twice the norm",
    "then ten times the norm",
    "then a tenth of the norm",
    "NaN",
    "infinity",
]


def heard(path: Path, run: Run, preset: str | Preset) -> list[tuple[Caption, np.ndarray]]:
    """What is said, and the samples (N, C) up to what is said next."""
    preset = gradsound.PRESETS[preset] if isinstance(preset, str) else preset
    told = legend(run, path / "x.wav", preset=preset)
    sound, rate = soundfile.read(path / "x.wav", always_2d=True)
    assert rate == RATE
    cuts = [round(caption.time * RATE) for caption in told]
    return [*zip(told, np.split(sound, cuts)[1:])]


def peaks(samples: np.ndarray, seconds: float) -> list[int]:
    """The Hz of which there is most in each note, of that many seconds from beginnings."""
    mono = samples.mean(axis=1)
    window = round(seconds * RATE)
    notes = [mono[k : k + window] for k in range(0, len(mono) - window, window)]
    spectra = [np.abs(np.fft.rfft(some * np.hanning(window), RATE)) for some in notes]
    return [int(one.argmax()) for one, some in zip(spectra, notes) if some.any()]


@pytest.mark.parametrize("preset", list(gradsound.PRESETS))
def test_all_is_named_and_heard(tmp_path: Path, preset: str) -> None:
    """Every band, example and alarm that the preset has; a pause ends each."""
    found = heard(tmp_path, RUN, preset)
    texts = [caption.text for caption, _ in found]
    bands = gradsound.PRESETS[preset].bands_of(NAMES)
    silent = gradsound.PRESETS[preset].texture == "none"

    named = [text.split(", norm")[0] for text in texts[: 0 if silent else len(bands)]]
    assert named == ([] if silent else [band.name for band in bands])
    wanted = [] if silent else EXAMPLES
    assert [text for text in texts if text in EXAMPLES] == wanted
    alarms = [text.split(":")[0] for text in texts if text.startswith("alarm, ")]
    assert alarms == [
        f"alarm, {kind}" for kind in (KINDS if gradsound.PRESETS[preset].alarms else ())
    ]
    for caption, samples in found:
        assert np.abs(samples[: -RATE // 2]).max() > 0.01, caption
        assert np.abs(samples[-RATE // 4 :]).max() <= 2**-15, caption


def test_captions_are_written_beside_it(tmp_path: Path) -> None:
    """The same as are returned, at their times."""
    found = legend(RUN, tmp_path / "x.ogg")
    written = [*webvtt.read(tmp_path / "x.vtt")]

    assert [one.text for one in written] == [caption.text for caption in found]
    for one, caption in zip(written, found):
        assert abs(one.start_in_seconds - caption.time) <= 1


def test_a_wav_file_has_them_as_markers(tmp_path: Path) -> None:
    """Where each example begins."""
    told = legend(RUN, tmp_path / "x.wav")

    assert markers_of(tmp_path / "x.wav") == [
        (round(caption.time * RATE), caption.text) for caption in told
    ]


def test_a_band_has_the_norm_of_its_layers(tmp_path: Path) -> None:
    """As one vector, of what is typical; where there is no gradient, of 1."""
    (early, middle, late), *_ = zip(*heard(tmp_path, RUN, "notes")[:3])

    assert early.text == "early, norm 0.707"
    assert middle.text == "middle, norm 2.83"
    assert late.text == "late, norm 1"


def test_norms_are_heard_as_they_are_said(tmp_path: Path) -> None:
    """Twice, ten times and a tenth are their intervals, after the usual note."""
    found = {caption.text: sound for caption, sound in heard(tmp_path, ONE, PLAIN)}
    usual = 440 * 3 ** np.log10(2)  # an octave is a factor of ten
    note, rest = 0.07, 0.14
    intervals = {"twice": 2.0 ** np.log10(2), "ten times": 2.0, "a tenth of": 0.5}

    usual = 440 * 2 ** np.log10(3)
    for text, interval in intervals.items():
        sound = found[f"then {text} the norm"]
        steps = [
            sound[k : k + round(note * RATE)]
            for k in range(0, len(sound), round((note + rest) * RATE))
        ]
        pitches = [peaks(np.vstack([s, s[:1] * 0]), note)[0] for s in steps if s.any()]
        first, last = pitches[0], pitches[-1]
        assert abs(first - usual) <= 1
        assert abs(last - usual * interval) <= 1
        assert sorted({*pitches}) == sorted({first, last})


def test_clipping_is_an_interval(tmp_path: Path) -> None:
    """Where the preset has it: the norm that was, and a third of it."""
    preset = replace(PLAIN, clipping=True, texture="chord")
    found = {caption.text: sound for caption, sound in heard(tmp_path, ONE, preset)}
    sound = found["clipped to a third: two notes"][: round(0.07 * RATE), 0]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), RATE))
    usual = 440 * 2 ** np.log10(3)

    around = spectrum[round(usual) - 30 : round(usual) + 30].max()
    third = spectrum[410:470].max()
    assert min(around, third) > 0.4 * max(around, third)
    plain = found["all of them, a usual step"][: round(0.07 * RATE), 0]
    alone = np.abs(np.fft.rfft(plain * np.hanning(len(plain)), RATE))
    assert alone[410:470].max() < 0.1 * alone.max()


def test_values_are_swept(tmp_path: Path) -> None:
    """What a value drives is heard from one end to the other."""
    drive = Drive(value="loss", drives="voice", low=0.1, high=10.0, voice="sine")
    found = {
        caption.text: sound
        for caption, sound in heard(tmp_path, ONE, replace(PLAIN, drives=(drive,)))
    }
    sound = found["loss from 0.1 to 10"]
    step = round((2 * 0.07 + 0.14) * RATE)
    notes = [sound[k + step // 4 : k + step // 2] for k in range(0, 9 * step, step)]
    pitches = [peaks(np.vstack([s, s[:1] * 0]), len(s) / RATE)[0] for s in notes]

    assert pitches == sorted(pitches)
    np.testing.assert_allclose(pitches[-1] / pitches[0], 8, rtol=0.02)


def test_it_is_the_same_again(tmp_path: Path) -> None:
    """To the byte."""
    first = tmp_path / "a.wav", tmp_path / "b.wav"
    for path in first:
        legend(RUN, path)
    assert first[0].read_bytes() == first[1].read_bytes()


@pytest.mark.parametrize("norm", [0.0, np.nan, np.inf, 1e38, 1e-38, None])
def test_any_run_has_one(tmp_path: Path, norm: float | None) -> None:
    """Whatever its norms."""
    found = heard(tmp_path, make_run([[norm, 1.0]] * 3), "notes")
    assert all(np.abs(sound).max() > 0.01 for _, sound in found)


def test_a_run_that_has_not_begun_has_one(tmp_path: Path) -> None:
    """At norm 1: so one knows what is to come."""
    (first, _), *_ = heard(tmp_path, make_run([]), "notes")
    assert first.text == "layer0, norm 1"


def test_surprise_is_heard_where_norms_are_against_what_is_usual(tmp_path: Path) -> None:
    """The usual note is in the middle, whatever the norm; ten times is an octave above."""
    preset = replace(PLAIN, baseline="running")
    found = {caption.text: sound for caption, sound in heard(tmp_path, ONE, preset)}
    sound = found["then ten times the norm"][: -round(0.7 * RATE)]
    step = round(0.21 * RATE)
    pitches = [peaks(sound[k : k + step], 0.07)[0] for k in range(0, len(sound), step)]

    assert {*pitches} == {440, 880}
    assert pitches == sorted(pitches)


def test_what_it_cannot_be(tmp_path: Path) -> None:
    """A text alone, or silence."""
    with pytest.raises(ValueError, match="a legend is a sound; its captions are written"):
        legend(RUN, tmp_path / "x.vtt")
    assert not [*tmp_path.iterdir()]
