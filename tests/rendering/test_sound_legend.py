"""gradsound.legend: an example of each band, norm and alarm, with its caption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webvtt
from helpers.runs import make_run, with_signals
from helpers.scores import PLAIN
from helpers.wav import read_markers

import gradsound
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.captions import Caption
from gradsound.music.presets import Preset
from gradsound.music.value_mapping import Drive
from gradsound.rendering.sound_legend import legend
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
    "0",
    "NaN",
    "infinity",
]


def render_examples(
    path: Path, run: Run, preset: str | Preset
) -> list[tuple[Caption, np.ndarray]]:
    """Returns the caption of each example, and its samples, shape (N, C)."""
    preset = gradsound.PRESETS[preset] if isinstance(preset, str) else preset
    captions = legend(run, path / "x.wav", preset=preset)
    sound, rate = soundfile.read(path / "x.wav", always_2d=True)
    assert rate == RATE
    cuts = [round(caption.time * RATE) for caption in captions]
    return [*zip(captions, np.split(sound, cuts)[1:])]


def peaks(samples: np.ndarray, seconds: float) -> list[int]:
    """Returns the loudest frequency in Hz of each note, by windows of so many seconds."""
    mono = samples.mean(axis=1)
    window = round(seconds * RATE)
    notes = [mono[k : k + window] for k in range(0, len(mono) - window, window)]
    spectra = [np.abs(np.fft.rfft(note * np.hanning(window), RATE)) for note in notes]
    return [int(bins.argmax()) for bins, note in zip(spectra, notes) if note.any()]


@pytest.mark.parametrize("preset", list(gradsound.PRESETS))
def test_every_example_has_a_caption_and_sounds(tmp_path: Path, preset: str) -> None:
    """Each band, norm and alarm of a preset has a caption, a sound and then a pause."""
    examples = render_examples(tmp_path, RUN, preset)
    texts = [caption.text for caption, _ in examples]
    bands = gradsound.PRESETS[preset].bands_of(NAMES)
    silent = gradsound.PRESETS[preset].texture == "none"

    names = [text.split(", norm")[0] for text in texts[: 0 if silent else len(bands)]]
    assert names == ([] if silent else [band.name for band in bands])
    expected = [] if silent else EXAMPLES
    assert [text for text in texts if text in EXAMPLES] == expected
    alarms = [text.split(":")[0] for text in texts if text.startswith("alarm, ")]
    assert alarms == [
        f"alarm, {kind}"
        for kind in (ALARM_SOUNDS if gradsound.PRESETS[preset].alarms else ())
    ]
    for caption, samples in examples:
        assert np.abs(samples[: -RATE // 2]).max() > 0.01, caption
        assert np.abs(samples[-RATE // 4 :]).max() <= 2**-15, caption


def test_the_webvtt_file_has_the_captions(tmp_path: Path) -> None:
    """The WebVTT file has the returned captions, at their times to the second."""
    captions = legend(RUN, tmp_path / "x.ogg")
    cues = [*webvtt.read(tmp_path / "x.vtt")]

    assert [cue.text for cue in cues] == [caption.text for caption in captions]
    for cue, caption in zip(cues, captions):
        assert abs(cue.start_in_seconds - caption.time) <= 1


def test_a_wav_file_has_them_as_markers(tmp_path: Path) -> None:
    """A WAV file has a marker with the caption at the first frame of each example."""
    captions = legend(RUN, tmp_path / "x.wav")

    assert read_markers(tmp_path / "x.wav") == [
        (round(caption.time * RATE), caption.text) for caption in captions
    ]


def test_a_band_has_the_norm_of_its_layers(tmp_path: Path) -> None:
    """A band's norm is that of its layers' typical norms; without a gradient it is 1."""
    (early, middle, late), *_ = zip(*render_examples(tmp_path, RUN, "notes")[:3])

    assert early.text == "early, norm 0.707"
    assert middle.text == "middle, norm 2.83"
    assert late.text == "late, norm 1"


def test_norms_sound_at_their_intervals(tmp_path: Path) -> None:
    """Twice, ten times and a tenth of the norm have their intervals to the first note."""
    sounds = {
        caption.text: sound for caption, sound in render_examples(tmp_path, ONE, PLAIN)
    }
    note, rest = 0.07, 0.14
    intervals = {"twice": 2.0 ** np.log10(2), "ten times": 2.0, "a tenth of": 0.5}

    usual = 440 * 2 ** np.log10(3)  # an octave is a factor of ten
    for text, interval in intervals.items():
        sound = sounds[f"then {text} the norm"]
        steps = [
            sound[k : k + round(note * RATE)]
            for k in range(0, len(sound), round((note + rest) * RATE))
        ]
        pitches = [
            peaks(np.vstack([step, step[:1] * 0]), note)[0] for step in steps if step.any()
        ]
        first, last = pitches[0], pitches[-1]
        assert abs(first - usual) <= 1
        assert abs(last - usual * interval) <= 1
        assert sorted({*pitches}) == sorted({first, last})


def test_clipping_is_an_interval(tmp_path: Path) -> None:
    """A preset that sounds clipping plays the raw norm together with a third of it."""
    preset = replace(PLAIN, clipping=True, texture="chord")
    sounds = {
        caption.text: sound for caption, sound in render_examples(tmp_path, ONE, preset)
    }
    sound = sounds["clipped to a third: two notes"][: round(0.07 * RATE), 0]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), RATE))
    usual = 440 * 2 ** np.log10(3)

    raw = spectrum[round(usual) - 30 : round(usual) + 30].max()
    clipped = spectrum[410:470].max()
    assert min(raw, clipped) > 0.4 * max(raw, clipped)
    plain = sounds["all of them, a usual step"][: round(0.07 * RATE), 0]
    spectrum = np.abs(np.fft.rfft(plain * np.hanning(len(plain)), RATE))
    assert spectrum[410:470].max() < 0.1 * spectrum.max()


def test_values_are_swept(tmp_path: Path) -> None:
    """A value that drives a voice rises from its lowest to its highest number."""
    drive = Drive(value="loss", drives="voice", low=0.1, high=10.0, voice="sine")
    sounds = {
        caption.text: sound
        for caption, sound in render_examples(
            tmp_path, ONE, replace(PLAIN, drives=(drive,))
        )
    }
    sound = sounds["loss from 0.1 to 10"]
    step = round((2 * 0.07 + 0.14) * RATE)
    notes = [sound[k + step // 4 : k + step // 2] for k in range(0, 9 * step, step)]
    pitches = [
        peaks(np.vstack([note, note[:1] * 0]), len(note) / RATE)[0] for note in notes
    ]

    assert pitches == sorted(pitches)
    np.testing.assert_allclose(pitches[-1] / pitches[0], 8, rtol=0.02)


def test_a_legend_is_reproducible(tmp_path: Path) -> None:
    """Two legends of the same run have the same bytes."""
    paths = tmp_path / "a.wav", tmp_path / "b.wav"
    for path in paths:
        legend(RUN, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_no_caption_is_cut(tmp_path: Path) -> None:
    """Each caption has its norm, pitch or range, however long the names are."""
    names = tuple(f"{part} {'block ' * 40}{part}" for part in ("conv", "fc", "out"))
    drive = Drive(value="loss " * 40, drives="voice", low=0.1, high=10.0, voice="sine")
    preset = replace(gradsound.PRESETS["notes"], drives=(drive,))
    run = make_run([[1e5, 2e5, 4e5]] * 40, names)
    texts = [one.text for one in legend(run, tmp_path / "x.ogg", preset=preset)]

    assert [text[-20:] for text in texts[:3]] == [
        "ock conv, norm 1e+05",
        "block fc, norm 2e+05",
        "lock out, norm 4e+05",
    ]
    assert "1 octave = factor 10; norm 1e5 is C4 in the first band" in texts
    assert any(text.endswith("loss from 0.1 to 10") for text in texts)
    assert not [text for text in texts if text.endswith("...")]
    assert max(map(len, texts)) <= 80


@pytest.mark.parametrize("norm", [0.0, np.nan, np.inf, 1e38, 1e-38, None])
def test_any_run_has_a_legend(tmp_path: Path, norm: float | None) -> None:
    """Every example sounds, whatever the run's norms."""
    examples = render_examples(tmp_path, make_run([[norm, 1.0]] * 3), "notes")
    assert all(np.abs(sound).max() > 0.01 for _, sound in examples)


def test_a_run_without_steps_has_a_legend(tmp_path: Path) -> None:
    """The layers of a run without steps sound at norm 1."""
    (first, _), *_ = render_examples(tmp_path, make_run([]), "notes")
    assert first.text == "layer0, norm 1"


def test_a_running_baseline_sounds_the_ratio_to_the_median(tmp_path: Path) -> None:
    """With the running baseline a typical norm sounds as norm 1, ten times as norm 10."""
    preset = replace(PLAIN, baseline="running")
    sounds = {
        caption.text: sound for caption, sound in render_examples(tmp_path, ONE, preset)
    }
    sound = sounds["then ten times the norm"][: -round(0.7 * RATE)]
    step = round(0.21 * RATE)
    pitches = [peaks(sound[k : k + step], 0.07)[0] for k in range(0, len(sound), step)]

    assert {*pitches} == {440, 880}
    assert pitches == sorted(pitches)


def test_a_legend_needs_a_sound_file(tmp_path: Path) -> None:
    """A path that ends in .vtt is refused, and no file is written."""
    with pytest.raises(
        ValueError, match=r"a legend is a sound file; end its name in \.wav"
    ):
        legend(RUN, tmp_path / "x.vtt")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["notes", "ambient", "perone2019"])
def test_signals_have_examples(tmp_path: Path, name: str) -> None:
    """A long note, clicks, breath and a pure note, of the signals that the run has."""
    signals = with_signals(ONE, update_ratio=[0.002], snr=[0.05])
    texts = [caption.text for caption in legend(signals, tmp_path / "x.wav", preset=name)]
    heard = [text for text in texts if text.startswith(("update", "snr"))]
    expected = [
        "update ratio 0.01: held longer",
        "update ratio 0, weights that do not move: clicks",
        "snr 0.05, gradients that are noise: breath",
        "snr 0.6, a batch that is repeated: pure",
    ]
    first = {"notes": 0, "ambient": 2, "perone2019": 4}[name]

    assert heard == expected[first:]
    only = with_signals(ONE, snr=[0.05])
    texts = [caption.text for caption in legend(only, tmp_path / "x.wav", preset=name)]
    assert not [text for text in texts if text.startswith("update")]


def test_clicks_of_the_legend_are_short(tmp_path: Path) -> None:
    """The notes of weights that do not move sound for 9 ms of each step, others for 140."""
    signals = with_signals(ONE, update_ratio=[0.002])
    sounds = {}
    for caption, samples in render_examples(tmp_path, signals, "notes"):
        sounds[caption.text] = np.count_nonzero(np.abs(samples).max(axis=1) > 1e-3)
    clicks = sounds["update ratio 0, weights that do not move: clicks"]

    assert sounds["update ratio 0.01: held longer"] > 10 * clicks > 0
