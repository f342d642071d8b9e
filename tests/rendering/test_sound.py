"""gradsound.render: pitch, level, silence and reproducibility of the written file."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.scores import compose_run

import gradsound
from gradsound.synth.mixer import render

RATE = 44_100
PRESETS = pytest.mark.parametrize("preset", gradsound.PRESETS)


def test_perone_to_the_sample(tmp_path: Path, save) -> None:
    """A step of perone2019 is 4 sines of 441 frames, then 882 silent; 200 are 12.0 s."""
    norms = [[1.0, 2.0, 3.5, 7.0]] * 200
    gradsound.render(save(norms), tmp_path / "x.wav", preset="perone2019")
    samples, rate = soundfile.read(tmp_path / "x.wav")
    steps = samples.reshape(200, 6, 441)  # fails unless exactly 12.0 s

    assert (rate, len(samples) / rate) == (RATE, 12.0)
    assert not steps[:, 4:].any()
    np.testing.assert_array_equal(steps[0], steps[199])
    time = np.arange(441) / RATE
    for layer, norm in enumerate(norms[0]):
        expected = 0.1 * np.sin(2 * np.pi * (200 + 100 * norm) * time)
        inside = slice(88, 441 - 88)  # between the edges of 2 ms
        quantum = 2**-15
        np.testing.assert_allclose(
            steps[0, layer, inside], expected[inside], rtol=0, atol=quantum
        )


def test_notes_have_pitch_level_and_silence(tmp_path: Path, save) -> None:
    """Each layer's 70 ms have its pitch by FFT and its level; the rest is silent."""
    plain = replace(gradsound.PRESETS["notes"], alarms=0.0, spread=0.0)
    gradsound.render(save([[0.1, 1.0, 10.0]] * 3), tmp_path / "x.wav", preset=plain)
    samples, _ = soundfile.read(tmp_path / "x.wav")
    note, rest = 3087, 6174  # 70 and 140 ms
    steps = samples.reshape(3, 3 * note + rest)

    assert not steps[:, 3 * note :].any()
    for step in steps:
        # C3, then twice a fourth and an octave higher.
        for layer, hertz in enumerate((130.8, 349.2, 932.3)):
            sound = step[layer * note : (layer + 1) * note]
            power = np.abs(np.fft.rfft(sound * np.hanning(note), RATE)) ** 2  # bins of 1 Hz
            assert abs(power.argmax() - hertz) <= 1
            assert 0.05 < np.abs(sound).max() <= 0.4


EXTREMES = [1e-30, 1e-9, 1e-3, 1.0, 218.5, 441.0, 1e9, 1e30, 0.0, np.nan, np.inf, None]


@pytest.mark.parametrize(
    ("preset", "rate"),
    [("notes", 16_000), ("notes", 44_100), ("perone2019", 44_100), ("perone2019", 48_000)],
)
def test_no_norm_sounds_above_the_limit(
    tmp_path: Path, save, preset: str, rate: int
) -> None:
    """Norms from 1e-30 to 1e30, NaN and infinity leave nothing above 0.9 x Nyquist.

    The sum starts above the bandwidth of the edges: perone2019 holds a tone of 10 ms at
    the limit, and its edges of 2 ms spread it by 1.5 kHz at -60 dB.
    """
    gradsound.render(
        save([[norm] * 4 for norm in EXTREMES]),
        tmp_path / "x.wav",
        preset=preset,
        sample_rate=rate,
        subtype="FLOAT",
    )
    samples, _ = soundfile.read(tmp_path / "x.wav")
    samples = samples.reshape(len(samples), -1)[:, 0]  # the left channel
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    bins = np.fft.rfftfreq(len(samples), 1 / rate)
    spread = 1500 if preset == "perone2019" else 0
    above = power[bins > 0.45 * rate + spread].sum()

    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= np.float32(0.7)
    assert above < 10**-6 * power.sum()


SOUNDING = pytest.mark.parametrize(
    "preset",
    [p for p in gradsound.PRESETS.values() if p.texture != "none"],
    ids=lambda preset: preset.name,
)


def render_steps(tmp_path: Path, run: Path, preset: gradsound.Preset) -> np.ndarray:
    """Returns the samples of a run without alarms, on one channel."""
    plain = replace(preset, alarms=0.0, spread=0.0)
    gradsound.render(run, tmp_path / "x.wav", preset=plain)
    return soundfile.read(tmp_path / "x.wav")[0]


@SOUNDING
def test_explosion_does_not_sound_calm(
    tmp_path: Path, save, preset: gradsound.Preset
) -> None:
    """Norm 441 is a high tone; without the pitch limit it would alias to a low one."""
    samples = render_steps(tmp_path, save([[1.0] * 4] * 19 + [[441.0] * 4]), preset)
    samples = samples[len(samples) * 19 // 20 :]
    power = np.abs(np.fft.rfft(samples)) ** 2
    peak = np.fft.rfftfreq(len(samples), 1 / RATE)[power.argmax()]

    assert peak > 650  # where norm 1 is 131 to 622


@SOUNDING
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_is_distinct(
    tmp_path: Path, save, preset: gradsound.Preset, bad: float
) -> None:
    """NaN and infinity have a spectrum of their own.

    The measure is the largest overlap with the spectrum of a finite norm, in twelfths of
    an octave.
    """

    def spectrum(norm: float) -> np.ndarray:
        samples = render_steps(tmp_path, save([[norm] * 4] * 8), preset)
        power = np.abs(np.fft.rfft(samples)) ** 2
        bins = np.fft.rfftfreq(len(samples), 1 / RATE)
        edges = 55 * 2 ** (np.arange(100) / 12)
        shares, _ = np.histogram(bins, edges, weights=power)
        return shares / np.linalg.norm(shares)

    overlaps = [spectrum(bad) @ spectrum(norm) for norm in (0.0, 0.01, 1.0, 30.0, 1e6)]
    assert max(overlaps) < 0.6


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
@PRESETS
def test_same_run_same_bytes(tmp_path: Path, save, preset: str, name: str) -> None:
    """Two renders of a run, from its file and from memory, have the same bytes."""
    norms = [[k / 3, np.nan, None] for k in range(300)]
    gradsound.render(save(norms), tmp_path / name, preset=preset)
    first = (tmp_path / name).read_bytes()
    gradsound.render(make_run(norms), tmp_path / name, preset=preset)

    assert (tmp_path / name).read_bytes() == first


def test_speed_and_rate(tmp_path: Path, save) -> None:
    """Twice the speed halves the duration and keeps the pitch, at 48 kHz too."""
    run = save([[1.0] * 4] * 5)
    plain = replace(gradsound.PRESETS["notes"], alarms=0.0)
    gradsound.render(run, tmp_path / "x.wav", preset=plain, speed=2.0, sample_rate=48_000)
    samples, rate = soundfile.read(tmp_path / "x.wav")
    power = np.abs(np.fft.rfft(samples[:1680, 0], rate)) ** 2  # a note, in bins of 1 Hz

    assert (rate, len(samples)) == (48_000, 50_400)  # 5 steps of 210 ms
    assert abs(power.argmax() - 261.6) <= 1


def test_blocks_join_without_a_seam(tmp_path: Path, save) -> None:
    """A file rendered in blocks has the samples of the whole score rendered at once."""
    odd = replace(gradsound.PRESETS["perone2019"], note_seconds=0.0101, rest_seconds=0.0203)
    run = gradsound.read_run(save([[k / 30, 2 / 3] for k in range(1000)]))
    gradsound.render(run, tmp_path / "x.wav", preset=odd, subtype="FLOAT")
    samples, _ = soundfile.read(tmp_path / "x.wav", dtype="float32", always_2d=True)
    whole = render(compose_run(run, odd), RATE)

    assert len(samples) == round(1000 * 0.0405 * RATE)
    np.testing.assert_array_equal(samples, whole)


@pytest.mark.parametrize("rate", [15_999, 192_001, 0, -1])
def test_impossible_rates_are_refused(tmp_path: Path, save, rate: int) -> None:
    """The error for a sample rate outside the range has the range and the value."""
    with pytest.raises(ValueError, match=f"16000 to 192000 Hz, got {rate}"):
        gradsound.render(save([[1.0]]), tmp_path / "x.wav", sample_rate=rate)


def test_a_run_without_steps_is_refused(tmp_path: Path, save) -> None:
    """A run without steps is refused, and no file is written."""
    with pytest.raises(ValueError, match=r"run.jsonl: has no steps"):
        gradsound.render(save([]), tmp_path / "x.wav")
    assert not (tmp_path / "x.wav").exists()


def test_renders_and_plots_without_torch(tmp_path: Path, save) -> None:
    """render, plot and `gradsound info` work where importing torch raises."""
    code = """if True:
        import sys
        sys.modules["torch"] = None
        import gradsound
        gradsound.render(sys.argv[1], sys.argv[2])
        gradsound.plot(sys.argv[1], sys.argv[3])
        from gradsound.cli.main import main
        main(["info", sys.argv[1]])
    """
    files = save([[1 / 3]] * 3), tmp_path / "x.wav", tmp_path / "x.png"
    subprocess.run([sys.executable, "-c", code, *files], check=True, capture_output=True)

    assert soundfile.info(files[1]).frames > RATE * 3 * 0.21


def test_import_is_light() -> None:
    """``import gradsound`` imports no package but numpy, and starts no thread."""
    code = """if True:
        import sys, threading, warnings
        import numpy
        filters = list(warnings.filters)
        before = set(sys.modules)
        import gradsound
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        assert new <= sys.stdlib_module_names | {"gradsound", "numpy"}, new
        assert threading.active_count() == 1
        assert warnings.filters == filters
        assert all(hasattr(gradsound, name) for name in gradsound.__all__)
    """
    subprocess.run([sys.executable, "-c", code], check=True)
