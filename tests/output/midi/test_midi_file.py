"""MIDI files: exact pitches, times without drift, texts, and the sound of FluidSynth."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.midi import PERCUSSION, Played, open_midi, read_midi
from helpers.runs import make_run

import gradsound
from gradsound.errors import MissingExtraError
from gradsound.music.presets import at_speed, find_preset
from gradsound.rendering.sound import Sound
from gradsound.runs.model import Run
from gradsound.synth.score import SLOTS_PER_RUN

RATE = 44_100
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
SAMPLES = Path(__file__).parents[3] / "samples" / "runs"
# Norms whose pitches lie anywhere between two semitones.
RANDOM = np.exp(np.random.default_rng(7).normal(0, 1.5, (200, 4))).astype(np.float32)


def tones(path: Path) -> list[Played]:
    """Returns the notes of a file that have a pitch."""
    return [note for note in read_midi(path) if note.channel != PERCUSSION]


def scored(runs: list[Run], preset: gradsound.Preset) -> list[tuple[float, ...]]:
    """Returns the begin, the end and the pitch of the notes of a score, by its own times.

    The pitch is a key with a fraction. The notes are those of bands, without drones.
    """
    notes, begin = [], 0.0
    for score in Sound(runs, preset).scores():
        starts = begin + np.concatenate([[0.0], np.cumsum(score.durations)])
        begin = starts[-1]
        for note in score.notes[score.notes["track"] >= 0]:
            onset = starts[note["step"]] + note["onset"]
            pitch = 69 + 12 * np.log2(note["hertz"][0] / 440)
            order = round(onset, 6), note["slot"] // SLOTS_PER_RUN, note["slot"]
            notes.append((*order, onset, onset + note["duration"], pitch))
    return [note[3:] for note in sorted(notes)]


@pytest.mark.parametrize(
    ("preset", "speed"),
    [("notes", 1.0), ("notes", 1.7), ("chord", 1.1), ("scan", 1.3), ("perone2019", 0.7)],
)
def test_every_note_has_its_exact_pitch_and_time(
    tmp_path: Path, preset: str, speed: float
) -> None:
    """The key and the bend of each note are its pitch within 0.02 cents, after 84 s too."""
    run = make_run(RANDOM.tolist())
    gradsound.render(run, tmp_path / "run.mid", preset=preset, speed=speed)
    played = tones(tmp_path / "run.mid")
    expected = scored([run], at_speed(find_preset(preset), speed))
    played.sort(key=lambda note: (note.begin, note.channel))

    assert len(played) == len(expected) == 800
    for note, (begin, end, pitch) in zip(played, expected):
        assert abs(note.begin - begin) <= 0.0005 + 1e-9  # half a tick
        assert abs(note.end - end) <= 0.0005 + 1e-9
        assert abs(note.pitch - pitch) <= 0.0002
        assert abs(note.bends[0][1]) <= 0.5  # so the usual range of 2 semitones is enough


def test_a_band_has_a_channel_a_name_and_an_instrument(tmp_path: Path) -> None:
    """Each band has one channel from the first on, and a track with its name."""
    run = make_run(RANDOM.tolist(), ("embed", "块", "ключ.weight", "head"))
    gradsound.render(run, tmp_path / "run.mid")
    played = tones(tmp_path / "run.mid")

    by_track = {note.track: note for note in played}
    assert [*by_track] == ["embed", "块", "ключ.weight", "head"]
    assert [note.channel for note in by_track.values()] == [0, 1, 2, 3]
    assert len({note.program for note in by_track.values()}) == 4
    assert len({(note.track, note.channel, note.program) for note in played}) == 4
    pans = [note.pan for note in by_track.values()]
    assert pans == sorted({*pans})


def test_louder_notes_have_higher_velocities(tmp_path: Path) -> None:
    """The level of a note is the square of its velocity, as General MIDI has it."""
    run = make_run([[1.0], [0.0], [np.nan], *[[1.0]] * 20])  # softer during the alarms
    preset = replace(find_preset("notes", "sine"), equal_loudness=False)
    gradsound.render(run, tmp_path / "run.mid", preset=preset)
    velocities = {note.velocity for note in tones(tmp_path / "run.mid")}

    assert velocities == {100, 55}  # 0.3 of the level is 100 * sqrt(0.3)


def test_a_norm_before_clipping_has_a_channel_of_its_own(tmp_path: Path) -> None:
    """Two notes of a band at once are on two channels, each with its own bend."""
    run = make_run([[1.0, 0.7]] * 3)
    steps = [replace(step, raw=np.array([3.3, 5.0], "f4")) for step in run.steps]
    gradsound.render(replace(run, steps=steps), tmp_path / "run.mid")
    played = tones(tmp_path / "run.mid")

    assert [note.track for note in played[:2]] == ["layer0", "layer0, before clipping"]
    assert played[0].begin == played[1].begin
    assert played[1].pitch - played[0].pitch == pytest.approx(12 * np.log10(3.3), abs=0.001)


def test_two_runs_are_left_and_right(tmp_path: Path) -> None:
    """Each run has its own tracks with its name, one far left and one far right."""
    run, other = make_run(RANDOM[:9].tolist()), make_run(RANDOM[9:18].tolist())
    gradsound.render(
        replace(run, name="a"), tmp_path / "x.mid", other=replace(other, name="b")
    )
    played = tones(tmp_path / "x.mid")

    assert {(note.track[:2], note.pan) for note in played} == {("a,", 0), ("b,", 127)}
    assert len({note.channel for note in played}) == 8
    assert len(played) == 72


@pytest.mark.parametrize("layers", [16, 100])
def test_layers_beyond_the_channels_take_turns(tmp_path: Path, layers: int) -> None:
    """Of hundreds of layers in turn, each note has its pitch: channels are used anew."""
    norms = np.exp(np.random.default_rng(3).normal(0, 1.5, (4, layers)))
    run = make_run(norms.tolist())
    gradsound.render(run, tmp_path / "run.mid", preset="scan")
    played = tones(tmp_path / "run.mid")  # which plays no two notes on a channel
    expected = scored([run], find_preset("scan"))

    assert len(played) == len(expected) == 4 * layers
    pitches = [[note.begin, note.pitch] for note in played]
    np.testing.assert_allclose(
        sorted(pitches), [[begin, pitch] for begin, _, pitch in expected], atol=0.0006
    )
    assert len({note.track for note in played}) == layers


@pytest.mark.parametrize("preset", ["scan", "chord", "ambient"])
def test_more_notes_at_once_than_channels_share_them(tmp_path: Path, preset: str) -> None:
    """Of 300 layers at once, each has a track, and each note is 3.4 cents off at most."""
    norms = np.exp(np.random.default_rng(3).normal(0, 1.0, 300)).tolist()
    every = replace(find_preset(preset, "organ"), bands="layers", spread=0.0)
    every = replace(every, register=0.0, equal_loudness=False, alarms=0.0)
    gradsound.render(make_run([norms, norms, norms]), tmp_path / "x.mid", preset=every)
    played = read_midi(tmp_path / "x.mid", alone=False)

    expected = every.pitch.hertz(np.array(norms))
    pitches = np.array(sorted(note.pitch for note in played))
    for pitch in 69 + 12 * np.log2(expected / 440):
        assert np.abs(pitches - pitch).min() <= 0.034
    assert len({note.channel for note in played}) == 15
    assert {(note.program, note.pan) for note in played} == {(16, 64)}
    assert max(note.end for note in played) <= 3 * every.layout(300).duration + 0.6


def test_drones_glide_by_bends(tmp_path: Path) -> None:
    """A drone is one note; its pitch follows the score within 20 ms of a glide."""
    norms = [[0.1], [0.1], [30.0], [30.0], [None], [None], [1.0]]
    slow = replace(find_preset("ambient"), note_seconds=1.0)
    gradsound.render(make_run(norms), tmp_path / "run.mid", preset=slow)
    first, second = tones(tmp_path / "run.mid")

    # An octave a decade, and middle C an octave lower.
    low, high = 48 + 12 * np.log10([0.1, 30.0])
    assert (first.begin, first.end, second.begin) == (0.0, 5.0, 6.0)
    for at, pitch in ((1.9, low), (3.0, high), (3.9, high)):
        bend = [bend for time, bend in first.bends if time <= at][-1]
        assert first.key + bend == pytest.approx(pitch, abs=0.01)
    times, bends = np.array(first.bends).T
    gliding = (times > 2) & (times < 3)
    hertz = np.interp(
        times[gliding], [2, 3], 440 * 2 ** ((np.array([low, high]) - 69) / 12)
    )
    np.testing.assert_allclose(
        first.key + bends[gliding], 69 + 12 * np.log2(hertz / 440), atol=0.01
    )
    assert np.diff(times[gliding]).max() <= 0.011
    assert first.expressions[0][1] == 1
    assert first.expressions[-1][1] < 20
    assert max(value for _, value in first.expressions) > 110


def test_names_and_markers_are_single_lines(tmp_path: Path) -> None:
    """A line end or a tab is a space; a NUL, which ends a name in many programs, too."""
    run = make_run([[1.0, np.nan]] * 3, ("a\nb\tc", "d\0e"))
    gradsound.render(run, tmp_path / "run.mid")
    file = open_midi(tmp_path / "run.mid")

    assert [track.name for track in file.tracks[1:3]] == ["a b c", "percussion"]
    texts = [message.text for message in file.tracks[0] if message.type == "marker"]
    assert "NaN in d e" in texts[0]


def test_captions_are_markers_and_alarms_are_percussion(tmp_path: Path) -> None:
    """Each caption that a WAV file marks is a marker; the rhythm of an alarm is played."""
    run = make_run([[1.0, 2.0]] * 40 + [[np.nan, 2.0]] + [[0.0, 2.0]] * 4, ("é\udc80", "b"))
    sound = Sound([run], find_preset("notes"))
    [*sound.scores()]
    gradsound.render(run, tmp_path / "run.mid")
    track, *_ = open_midi(tmp_path / "run.mid").tracks
    times = np.cumsum([message.time for message in track])
    markers = [
        (time / 1000, message.text)
        for time, message in zip(times, track)
        if message.type == "marker"
    ]

    assert len(markers) == 4
    assert "NaN in é\\udc80" in markers[0][1]
    for (time, text), caption in zip(markers, sound.captions, strict=True):
        assert time == pytest.approx(caption.time, abs=0.0005)
        assert text == caption.text.replace("\udc80", "\\udc80")
    played = [
        note for note in read_midi(tmp_path / "run.mid") if note.channel == PERCUSSION
    ]
    assert {note.track for note in played} == {"percussion"}
    begins = np.array([note.begin for note in played])
    for onset in (0, 0.12, 0.24, 0.48, 0.60):  # the alarm sound of NaN
        assert np.abs(begins - markers[0][0] - onset).min() <= 0.001
    keys = [note.key for note in played if note.begin >= markers[0][0] - 0.5]
    assert 52 in keys  # the NaN itself
    assert keys.count(70) == 4  # the norms of 0


def render_by_fluidsynth(path: Path) -> np.ndarray:
    """Returns the samples of a MIDI file by FluidSynth, without its effects."""
    program = shutil.which("fluidsynth")
    if program is None or not SOUNDFONT.exists():
        pytest.skip("there is no fluidsynth, or no TimGM6mb.sf2")
    wav = path.with_suffix(".fluidsynth.wav")
    options = ["-ni", "-q", "-C", "0", "-R", "0", "-r", str(RATE), "-F", str(wav)]
    files = [str(SOUNDFONT), str(path)]
    subprocess.run([program, *options, *files], check=True, capture_output=True)
    samples, _ = soundfile.read(wav)
    return samples.mean(axis=1)


def cents_off(samples: np.ndarray, pitch: float) -> float:
    """Returns how many cents the partial nearest to a pitch is above it, by FFT."""
    hertz, bins = 440 * 2 ** ((pitch - 69) / 12), 1 << 16
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), bins))
    near = np.abs(np.fft.rfftfreq(bins, 1 / RATE) / hertz - 1) < 0.06
    k = np.flatnonzero(near)[power[near].argmax()]
    before, peak, after = np.log(power[k - 1 : k + 2])
    shift = (before - after) / 2 / (before - 2 * peak + after)
    return float(1200 * np.log2((k + shift) * RATE / bins / hertz))


def test_fluidsynth_plays_the_pitches_of_the_score(tmp_path: Path) -> None:
    """The median note of 84 s is off by less than 3 cents, as much at the end as before.

    The organ of this soundfont is itself 2.6 cents sharp.
    """
    path = SAMPLES / "2-sgd-lr0.1-batch10.jsonl"
    preset = find_preset("notes", "organ")
    gradsound.render(path, tmp_path / "run.mid", preset=preset)
    samples = render_by_fluidsynth(tmp_path / "run.mid")
    expected = scored([gradsound.read_run(path)], preset)
    off = [
        cents_off(samples[int((begin + 0.005) * RATE) : int(end * RATE)], pitch)
        for begin, end, pitch in expected[::3]
    ]

    assert expected[-1][1] > 83
    assert np.median(np.abs(off)) < 3
    assert abs(np.median(off[:60]) - np.median(off[-60:])) < 0.5
    nearest = [100 * abs(pitch - round(pitch)) for _, _, pitch in expected]
    assert np.median(nearest) > 20  # without bends


def test_fluidsynth_bends_a_drone(tmp_path: Path) -> None:
    """A drone over two decades and a half has the pitch of each norm, in one tone.

    A SoundFont takes 2 semitones for 127/128 of 2 semitones, which is 0.8 cents each.
    """
    slow = replace(find_preset("ambient", "organ"), note_seconds=1.0)
    norms = [[0.7], [0.7], [0.1], [0.1], [1.2], [1.2], [30.0], [30.0], [0.8], [0.8]]
    gradsound.render(make_run(norms), tmp_path / "run.mid", preset=slow)
    samples = render_by_fluidsynth(tmp_path / "run.mid")
    (drone,) = tones(tmp_path / "run.mid")

    assert drone.key == 48  # near most of it
    for second, (norm,) in enumerate(norms):
        if second % 2:  # the second step of each pitch stands
            piece = samples[int((second + 0.1) * RATE) : int((second + 0.9) * RATE)]
            pitch = 48 + 12 * np.log10(norm)
            assert abs(cents_off(piece, pitch)) < 4 + 0.8 * abs(pitch - drone.key)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, save) -> None:
    """A file is replaced when the new one is complete, and nothing else is left."""
    path = save([[1.0, 2.0], [0.5, np.nan], [0.0, None]])
    (tmp_path / "run.mid").write_bytes(b"old")
    gradsound.render(path, tmp_path / "run.mid")
    first = (tmp_path / "run.mid").read_bytes()
    gradsound.render(path, tmp_path / "again.MIDI")

    assert first.startswith(b"MThd")
    assert first == (tmp_path / "again.MIDI").read_bytes()
    assert {*tmp_path.iterdir()} == {path, tmp_path / "run.mid", tmp_path / "again.MIDI"}


def test_a_run_without_notes_is_a_file_too(tmp_path: Path) -> None:
    """The preset of alarms alone has markers and percussion."""
    gradsound.render(make_run([[1.0]] * 3), tmp_path / "run.mid", preset="alarms")

    assert [track.name for track in open_midi(tmp_path / "run.mid").tracks] == [
        "made",
        "percussion",
    ]


def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without mido, the message has the command that installs it."""
    for module in ("midi_file", "messages"):
        monkeypatch.delitem(sys.modules, f"gradsound.output.midi.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "mido", None)

    with pytest.raises(MissingExtraError, match="pip install mido"):
        gradsound.render(make_run([[1.0]]), tmp_path / "run.mid")
    assert not [*tmp_path.iterdir()]
