"""gradsound voices, and a user's voice in render, plot, attach and the command line."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.models import small, train
from helpers.scores import PLAIN
from helpers.spectrum import spectrum

import gradsound
from gradsound.cli.main import main
from gradsound.errors import VoiceError
from gradsound.synth.voices.builtin import VOICES

OWN = """
import numpy as np
import torch

TAU = 2 * np.pi

def buzz(phase, deviation):
    return torch.tanh((3 + 2 * deviation) * torch.sin(TAU * phase))

def third(phase):
    return np.sin(3 * TAU * phase)

class Drawbars(torch.nn.Module):
    def forward(self, phase):
        return 0.5 * torch.sin(TAU * phase) + 0.5 * torch.sin(2 * TAU * phase)

def broken(phase):
    return torch.erfinv(phase)

number = 3

class Faulty:
    def __init__(self, argument):
        pass
"""


def third(phase):
    return np.sin(3 * 2 * np.pi * phase)


@pytest.fixture(autouse=True)
def _a_module_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(OWN)
    Path("leaves.py").write_text("import sys\n\nsys.exit(0)\n")
    Path("faulty.py").write_text("import nothing_of_that_name\n")


def run(*words: object) -> int:
    """Runs a command and returns its exit status."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(word) for word in words])
    return exit_info.value.code


def test_voices_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has a sentence for each voice, and names the kernel that renders them."""
    assert run("voices") == 0
    lines = capsys.readouterr().out.splitlines()

    for voice, line in zip(VOICES, lines):
        name, _, description = line.partition(" ")
        assert name == voice
        assert len(description.split()) >= 3
    assert lines[-1].startswith("Rendered by machine code, for ")


@pytest.mark.parametrize("voice", [*VOICES, "mine:buzz", "mine:Drawbars"])
def test_the_demo_of_a_voice(voice: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A demo has eleven notes from C2 to C7, each at its pitch, then a rising glide."""
    assert run("voices", voice, "-o", "x.wav") == 0
    samples, rate = soundfile.read("x.wav")

    assert (rate, len(samples)) == (44_100, round(44_100 * (11 * 0.25 + 5.0)))
    assert 0.05 < np.abs(samples).max() < 0.3
    for k in range(11):
        note = samples[round(k * 0.25 * rate) : round((k + 1) * 0.25 * rate)]
        assert np.abs(note).max() > 0.02
        assert not note[round(0.2 * rate) :].any()
        # The loudest partial of these two may not be the fundamental.
        if voice not in ("bell", "mine:Drawbars"):
            bins, power = spectrum(np.pad(note, (0, rate - len(note))))
            hertz = 65.4 * 2 ** (k / 2)
            assert abs(bins[power.argmax()] - hertz) <= 3  # a note's lobe is 20 Hz wide
    glide = samples[round(11 * 0.25 * rate) :]
    early, late = (glide[round(second * rate) :][:4096] for second in (0.1, 4.8))
    crossings = [np.count_nonzero(np.diff(np.signbit(part))) for part in (early, late)]
    assert crossings[0] < crossings[1] or voice == "pluck"  # pluck is silent by 4.8 s
    assert capsys.readouterr().err == ""


def test_a_voice_must_be_named_to_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    """-o without a voice is refused, and no file is written."""
    assert run("voices", "-o", "x.wav") == 2

    assert capsys.readouterr() == (
        "",
        "gradsound: x.wav: name the voice to write\n",
    )
    assert not Path("x.wav").exists()


def test_a_voice_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    """The description has the number of operations and the inputs of a voice."""
    assert run("voices", "mine:buzz") == 0

    assert capsys.readouterr().out.endswith("operations on phase, deviation\n")


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        ("bel", "no voice 'bel'; did you mean 'bell'?"),
        (
            "missing:bell",
            "voice 'missing:bell': missing cannot be imported: ModuleNotFound",
        ),
        ("faulty:bell", "faulty cannot be imported: ModuleNotFoundError: No module named"),
        ("mine:nothing", "voice 'mine:nothing': mine has no 'nothing'"),
        ("mine:", "mine has no ''"),
        ("mine:broken", "line 18: return torch.erfinv(phase)): erfinv cannot be compiled"),
        ("mine.py:buzz", "voice 'mine.py:buzz': write module:function, without .py"),
        ("mine:Faulty", "mine:Faulty': Faulty cannot be instantiated: TypeError"),
        ("leaves:voice", "leaves cannot be imported: SystemExit: 0"),
        ("mine:number", "voice 'mine:number': number is not callable, got 3"),
    ],
)
@pytest.mark.parametrize(
    "command", ["voices {} -o x.wav", "render run.jsonl -o x.wav --voice {}"]
)
def test_wrong_voices_are_one_line(
    save, capsys: pytest.CaptureFixture[str], command: str, voice: str, message: str
) -> None:
    """A wrong voice prints one line to standard error, exits with 2 and leaves no file."""
    save([[1.0, 2.0]] * 3)
    assert run(*command.format(voice).split()) == 2
    errors = capsys.readouterr().err

    assert errors.startswith("gradsound: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert not Path("x.wav").exists()


def first_peak(path: str) -> float:
    """Returns the loudest frequency of a file's first note, in Hz."""
    samples, rate = soundfile.read(path, always_2d=True)
    samples = samples[:, 0]
    bins, power = spectrum(np.pad(samples[:3087], (0, rate - 3087)), rate)
    return bins[power.argmax()]


def test_a_run_is_rendered_with_a_voice(save) -> None:
    """--voice module:function equals voice=function; a voice changes the sound."""
    save([[1.0]] * 9)
    assert run("render", "run.jsonl", "-o", "a.wav", "--voice", "mine:third") == 0
    gradsound.render("run.jsonl", "b.wav", voice=third)
    gradsound.render("run.jsonl", "c.wav", voice="sine")
    gradsound.render("run.jsonl", "d.wav")

    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()
    assert abs(first_peak("b.wav") - 3 * 261.6) <= 7
    assert abs(first_peak("c.wav") - 261.6) <= 7
    assert Path("c.wav").read_bytes() != Path("d.wav").read_bytes()


def test_a_training_is_rendered_with_a_voice() -> None:
    """attach(wav=, voice=) writes the same bytes as render(voice=) afterwards."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with gradsound.attach(model, optimizer, wav="x.wav", voice=third):
        train(model, optimizer, 5)
    gradsound.render("run.jsonl", "y.wav", voice=third)

    assert Path("x.wav").read_bytes() == Path("y.wav").read_bytes()


def test_modules_are_for_the_command_line() -> None:
    """In Python, "module:function" is refused: attach takes the function itself."""
    with pytest.raises(ValueError, match="import the function and pass it"):
        gradsound.attach(small(), voice="mine:buzz")


def test_attach_refuses_what_cannot_be_compiled() -> None:
    """`attach` refuses a voice that cannot be compiled, and writes no run file."""
    model = small()
    with pytest.raises(VoiceError, match="erfinv cannot be compiled"):
        gradsound.attach(model, voice=lambda phase: torch.erfinv(phase))

    assert not Path("run.jsonl").exists()


def test_a_picture_is_of_the_voice(save) -> None:
    """--voice changes the spectrogram of `gradsound plot`."""
    save([[1.0, 2.0]] * 3)
    assert run("plot", "run.jsonl", "-o", "a.png", "--voice", "saw") == 0
    assert run("plot", "run.jsonl", "-o", "b.png") == 0

    assert Path("a.png").read_bytes() != Path("b.png").read_bytes()


def test_controls_follow_the_step(save) -> None:
    """A voice gets norm, depth of the layer, and deviation from the running median."""
    save([[1.0, 1.0]] * 30 + [[1.0, 10.0], [1.0, 0.1]])
    levels = {}
    for name in ("norm", "depth", "deviation"):
        namespace: dict = {"np": np}
        body = f"return 0.5 * np.sin(2 * np.pi * phase) * (1 + {name}) / 2"
        exec(f"def voice(phase, {name}):\n    {body}", namespace)  # noqa: S102
        gradsound.render("run.jsonl", "x.wav", preset=PLAIN, voice=namespace["voice"])
        samples, _ = soundfile.read("x.wav")
        steps = samples.reshape(32, -1)
        layers = [steps[:, 3087 * k + 400 : 3087 * k + 2600] for k in (0, 1)]
        peaks = np.array([np.abs(layer).max(axis=1) for layer in layers]).T  # (S, L)
        levels[name] = peaks
    # Layer 0 has depth 0, so its peak is that of a control of 0.
    unit = levels["depth"][:, :1]
    levels = {name: peaks / unit - 1 for name, peaks in levels.items()}

    np.testing.assert_allclose(levels["norm"][0], [0.5, 0.5], atol=0.01)
    np.testing.assert_allclose(levels["norm"][30:, 1], [0.625, 0.375], atol=0.01)
    np.testing.assert_allclose(levels["depth"], [[0.0, 1.0]] * 32, atol=0.01)
    np.testing.assert_allclose(levels["deviation"][:30], 0, atol=0.01)
    np.testing.assert_allclose(levels["deviation"][30:, 1], [1.0, -1.0], atol=0.03)
    np.testing.assert_allclose(levels["deviation"][30:, 0], 0, atol=0.01)


def test_layers_are_spread_from_left_to_right(save) -> None:
    """A preset with spread writes two channels with the total power of one."""
    save([[1.0, 1.0, 1.0]] * 3)
    gradsound.render("run.jsonl", "x.wav", preset=replace(PLAIN, spread=1.0))
    gradsound.render("run.jsonl", "y.wav", preset=PLAIN)
    stereo, _ = soundfile.read("x.wav")
    mono, _ = soundfile.read("y.wav")
    notes = [slice(3087 * k, 3087 * (k + 1)) for k in range(3)]

    assert stereo.shape == (len(mono), 2)
    assert not stereo[notes[0], 1].any()
    assert not stereo[notes[2], 0].any()
    np.testing.assert_allclose(stereo[notes[1], 0], stereo[notes[1], 1], atol=2**-15)
    np.testing.assert_allclose((stereo**2).sum(axis=1), mono**2, atol=2e-5)
