"""Voices that users write: what is understood, and how the rest is refused."""

import json
import math
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gradsound import PRESETS
from gradsound.errors import VoiceError
from gradsound.music.preset_json import from_data, to_data
from gradsound.music.presets import find_preset
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.synth.voices.program import INPUTS, Program, evaluate
from gradsound.synth.voices.traced_value import MOST
from gradsound.synth.voices.tracer import trace

TAU = 2 * math.pi


def bell(phase, bright):
    return torch.sin(TAU * phase + 3 * bright * torch.sin(2 * TAU * phase))


def by_numpy(phase, bright):
    return np.sin(TAU * phase + 3 * bright * np.sin(2 * TAU * phase))


class Organ(nn.Module):
    """Parameters are constants of the voice."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([1.0, 0.6, 0.4]))
        self.gain = nn.Parameter(torch.tensor([0.5]))
        self.bend = nn.Tanh()

    def forward(self, phase):
        tones = (self.levels[k] * torch.sin(TAU * (k + 1) * phase) for k in range(3))
        return self.bend(self.gain * sum(tones))


def methods(phase, norm):
    tone = (phase * TAU).sin().clamp(-norm, norm).tanh()
    return tone * (1 - norm) + torch.where(phase < 0, -1.0, 1.0) * norm


def arithmetic(phase, depth):
    x = 2 - phase * 3
    y = (1 / x) ** 3 + x**0.5 - (-x) % 0.7 + x // 0.3
    return abs(y) * +depth - phase.square() + torch.rsqrt(x) - torch.reciprocal(x)


def comparisons(phase):
    inner = (phase < 0.25) & (phase >= -0.25) | (phase == 0.5)
    sign = torch.sign(phase) + (~inner) * 2.0 - (phase != 0.1) * 1.0 + (phase <= 0.2)
    return torch.where(inner, sign, -sign) + (phase > 0.3).float()


def functions(phase, time):
    first = torch.relu(phase) - functional.relu(-phase) + torch.sigmoid(9 * phase)
    second = torch.lerp(phase, phase * phase, 0.3) + torch.remainder(phase, 0.3)
    third = torch.floor(3 * phase) + torch.ceil(5 * phase) + torch.round(7 * phase)
    fourth = torch.trunc(9 * phase) + torch.frac(2 * phase) + torch.atan(20 * phase)
    fifth = torch.exp(-time) * torch.cos(TAU * phase) + torch.exp2(phase) + torch.tan(phase)
    return first + second + third + fourth + fifth + torch.minimum(phase, time)


def numpys(phase, time):
    x = np.float64(2) * phase + np.pi * np.where(phase < 0, 1.0, 0.0)
    return np.clip(x, 0, 0.5) + np.maximum(np.abs(x), 0.2) + np.arctan(np.exp(-time) * x)


def aliases(phase, time):
    other = phase
    other *= 2
    total = 0
    for k in range(3):
        total += torch.sin(k * other)
    total += functional.relu(time - 0.5, inplace=True)
    return total + phase * torch.pow(2.0, -8 * time)


def truths(phase):
    inside = (phase < 0) * (phase > -0.3)
    either = (phase < 0) + (phase < 0.25)
    odd = (phase < 0) ^ (phase < 0.3)
    tone = torch.where(inside, 1.0, phase) + either * 1.0 + odd * 0.5
    return torch.where(torch.tensor(True), tone, -tone) * (either & torch.tensor(True))


def limits(phase, dt):
    high = torch.minimum(torch.tensor(8.0), 0.45 / dt)
    return torch.clamp(torch.sin(TAU * 64 * phase), max=0.5) / high


def constants(phase, level=0.3, *, bend=2.0):
    with torch.no_grad():
        return torch.tanh(bend * torch.sin(phase * torch.tensor(TAU))) * level


@pytest.mark.parametrize(
    "voice",
    [
        bell,
        by_numpy,
        Organ(),
        methods,
        arithmetic,
        comparisons,
        functions,
        numpys,
        constants,
        aliases,
        truths,
        limits,
        partial(bell, bright=0.1),
    ],
    ids=lambda voice: getattr(voice, "__name__", "module"),
)
def test_a_program_is_its_voice(voice) -> None:
    """What torch or numpy computes, in float64, the program computes to 2e-6."""
    torch.manual_seed(0)
    program = trace(voice)
    inputs = {name: torch.rand(20_000) * 0.9 + 0.05 for name in program.inputs}
    inputs["phase"] = torch.rand(20_000) - 0.5
    given = {name: value.double() for name, value in inputs.items()}
    if voice in (bell, by_numpy):
        given["bright"] = given.pop("deviation") * 0.5 + 0.5
    if voice in (by_numpy, numpys):
        right = voice(**{name: value.numpy() for name, value in given.items()})
    else:
        copies = {name: value.clone() for name, value in given.items()}
        right = voice(**copies).detach().numpy()
    made = evaluate(program, {name: value.numpy() for name, value in inputs.items()})

    # Where a step function jumps, float32 may be on the other side.
    near = np.isclose(made, right, rtol=2e-6, atol=2e-6)
    assert near.mean() > 0.9999 if voice in (functions, arithmetic) else near.all()


def test_torch_and_numpy_are_the_same_program() -> None:
    """Whichever a voice is written in."""
    assert replace(trace(by_numpy), name="bell") == trace(bell)


def test_a_program_is_plain_data() -> None:
    """It survives JSON, and constants stay constants."""
    for voice in VOICES:
        program = find_voice(voice)
        assert Program.from_data(json.loads(json.dumps(program.to_data()))) == program
    one = find_voice(lambda phase: phase * 1.0 + 1)
    assert Program.from_data(json.loads(json.dumps(one.to_data()))) == one


def test_equal_operations_are_done_once() -> None:
    """And those that nothing needs are left out; 1.0 is no name of value 1."""

    def voice(phase, norm, depth):
        torch.exp(depth)
        return torch.sin(phase) * torch.sin(phase) + norm * 1.0 + 1.0

    once = trace(lambda phase: torch.sin(phase))
    program = trace(voice)

    assert program.inputs == ("phase", "norm")
    assert len(program.operations) == len(once.operations) + 4


class Counting(nn.Module):
    """Has state."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, phase):
        self.calls += 1
        return torch.sin(phase * self.calls)


KEPT = []


def keeping(phase):
    KEPT.append(phase)
    return KEPT[0] + phase


def endless(phase):
    while True:
        phase = torch.sin(phase) + 1


def branching(phase):
    if phase > 0:
        return phase
    return -phase


def in_place(phase):
    tone = phase * 2
    tone.mul_(2)
    return tone


def positional(phase, /):
    return torch.sin(phase)


def leaving(phase):
    sys.exit(int(phase is None))


REFUSED = {
    "erfinv cannot be compiled; write it with .*atan.*tanh": lambda phase: phase.erfinv(),
    "torch.erfinv": lambda phase: torch.erfinv(phase),
    "powers of a value are 0.5 or whole": lambda phase, norm: phase**norm,
    r"test_voices.py, line \d+: if phase > 0:\): .*write torch.where": branching,
    "instead of if, and, or, not, min, max": lambda phase: max(phase, 0.0),
    "it must have no state and no random numbers": Counting(),
    "keeps a value of an earlier call: it must not have state": keeping,
    "a parameter called noise is white noise": lambda phase: phase * torch.rand(()),
    r"mul is given shape \(4,\).*elements one by one": lambda phase: torch.ones(4) * phase,
    "stack cannot be compiled": lambda phase: torch.stack([phase, phase])[0],
    "parameter 'foo' is unknown and has no default; there are phase": lambda phase, foo: (
        foo
    ),
    r"needs a parameter called phase .*, and has \(norm\)": lambda norm: norm,
    "its parameters are given by name: take the / out": positional,
    "it is a class: give what it makes, such as Organ\\(\\)": Organ,
    "what its parameters are cannot be found out": torch.sin,
    "the constant 1e\\+39 is none that float32 has": lambda phase: torch.tanh(1e39 * phase),
    "the constant nan is none": lambda phase: phase * float("nan"),
    "mul is given complex, which is no real number": lambda phase: phase * 1j,
    "it fails when it is traced: SystemExit": leaving,
    "it returns 0.3, whatever the phase: that is silence": lambda phase: 0.3,
    "it returns NoneType: return one number": lambda phase: None,
    "it returns tuple: return one number": lambda phase: (phase, phase),
    "it does not depend on its phase": lambda phase, norm: norm,
    "it gives inf at phase .*, norm 0": lambda phase, norm: torch.sin(phase) / norm,
    "it is .*0 whatever the phase": lambda phase: phase * 0,
    f"more than {MOST} operations": endless,
    r"a plain number is made of a value.*math module": lambda phase: math.sin(phase),
    "shape cannot be compiled": lambda phase: torch.zeros(phase.shape) + phase,
    "mul_ cannot be compiled": in_place,
    "add cannot be compiled with these": lambda phase: torch.add(phase, phase, alpha=2),
    "dropout cannot be compiled": lambda phase: functional.dropout(phase, 0.5),
    "cumsum cannot be compiled": lambda phase: np.cumsum(phase),
    "add.reduce cannot be compiled": lambda phase: np.add.reduce(phase),
    r"whole numbers from 1 to 16: write others": lambda phase: phase**-1.5,
    "where needs a comparison": lambda phase: torch.where(phase, 1.0, 0.0),
    "NameError: name 'sine' is not defined": lambda phase: sine(phase),  # noqa: F821
    "its parameter 'input' is unknown": nn.Linear(2, 2),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_compiled_is_refused(message: str) -> None:
    """By name, with the operation, its line and what to write instead."""
    pattern = message.removeprefix("torch.")
    with pytest.raises(VoiceError, match=rf"(?s)^voice '(\w+|<lambda>)'.*{pattern}"):
        trace(REFUSED[message])


def test_the_line_is_told() -> None:
    """The file, the number and the text of the line that did it."""
    with pytest.raises(VoiceError) as refused:
        trace(branching)
    line = branching.__code__.co_firstlineno + 1

    assert f"({__file__}, line {line}: if phase > 0:)" in str(refused.value)


def test_no_voice_is_no_voice() -> None:
    """What cannot be called, and names that there are not."""
    with pytest.raises(TypeError, match="a voice is a name, a function or a module, got 3"):
        find_voice(3)
    with pytest.raises(ValueError, match="no voice 'bel'; did you mean 'bell'"):
        find_voice("bel")


def test_a_module_is_left_as_it_was() -> None:
    """Its parameters, gradients and random numbers."""
    organ = Organ()
    before = {name: value.clone() for name, value in organ.state_dict().items()}
    state = torch.get_rng_state()
    trace(organ)

    assert torch.equal(torch.get_rng_state(), state)
    assert all(
        torch.equal(value, before[name]) for name, value in organ.state_dict().items()
    )
    assert all(parameter.grad is None for parameter in organ.parameters())


def test_a_preset_takes_a_voice() -> None:
    """As its program, which goes to other processes as JSON."""
    preset = find_preset("notes", bell)

    assert preset.voice == trace(bell)
    assert from_data(json.loads(json.dumps(to_data(preset)))) == preset
    assert find_preset("notes", "saw").voice == "saw"
    assert isinstance(PRESETS["notes"].voice, tuple), "unless one is given: one a part"


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "phase"])
def test_every_input_can_be_asked_for(name: str) -> None:
    """By its name, and by keyword."""
    namespace: dict = {}
    exec(f"def voice(phase, *, {name}): return phase * {name}", namespace)  # noqa: S102

    assert trace(namespace["voice"]).inputs == tuple(
        n for n in INPUTS if n in ("phase", name)
    )
