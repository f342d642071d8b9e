"""Voices of users: a program computes what its function does, or an error says why not."""

import json
import math
import re
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
from gradsound.synth.voices.tracer import MAX_OPERATIONS, trace

TAU = 2 * math.pi


def bell(phase, bright):
    return torch.sin(TAU * phase + 3 * bright * torch.sin(2 * TAU * phase))


def numpy_bell(phase, bright):
    return np.sin(TAU * phase + 3 * bright * np.sin(2 * TAU * phase))


class Organ(nn.Module):
    """A module; its parameters are constants of the voice."""

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


def numpy_functions(phase, time):
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


def booleans(phase):
    inside = (phase < 0) * (phase > -0.3)
    either = (phase < 0) + (phase < 0.25)
    odd = (phase < 0) ^ (phase < 0.3)
    tone = torch.where(inside, 1.0, phase) + either * 1.0 + odd * 0.5
    return torch.where(torch.tensor(True), tone, -tone) * (either & torch.tensor(True))


def bool_constants(phase):
    low = phase < 0
    always, never = low | torch.tensor(True), low & torch.tensor(False)
    same = (low | torch.tensor(False)) & torch.tensor(True)
    return always * phase + never * 9.0 + same * 0.5


def comparison(phase):
    return phase < 0.1


def any_parameters(phase, *arguments, **options):
    return phase + len(arguments) + len(options)


def float32_turns(phase):
    return np.sin(phase * np.float32(TAU)) + torch.sin(torch.tensor(TAU) * phase)


def saturated(phase):
    return torch.tanh(1000 * phase) + torch.exp(-300 * (phase + 0.6)) + phase**16


def infinite_constant(phase):
    return torch.minimum(phase, torch.tensor(math.inf))


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
        numpy_bell,
        Organ(),
        methods,
        arithmetic,
        comparisons,
        functions,
        numpy_functions,
        constants,
        aliases,
        booleans,
        limits,
        bool_constants,
        comparison,
        any_parameters,
        saturated,
        infinite_constant,
        partial(bell, bright=0.1),
    ],
    ids=lambda voice: getattr(voice, "__name__", "module"),
)
def test_a_program_is_its_voice(voice) -> None:
    """A program computes what torch or numpy computes in float64, within 2e-6."""
    torch.manual_seed(0)
    program = trace(voice)
    inputs = {name: torch.rand(20_000) * 0.9 + 0.05 for name in program.inputs}
    inputs["phase"] = torch.rand(20_000) - 0.5
    arguments = {name: value.double() for name, value in inputs.items()}
    if voice in (bell, numpy_bell):
        arguments["bright"] = arguments.pop("deviation") * 0.5 + 0.5
    if voice in (numpy_bell, numpy_functions):
        expected = voice(**{name: value.numpy() for name, value in arguments.items()})
    else:
        copies = {name: value.clone() for name, value in arguments.items()}
        expected = voice(**copies).detach().numpy()
    result = evaluate(program, {name: value.numpy() for name, value in inputs.items()})

    # Near a jump of a step function, float32 may be on its other side.
    near = np.isclose(result, expected, rtol=2e-6, atol=2e-6)
    assert near.mean() > 0.9999 if voice in (functions, arithmetic) else near.all()


def test_torch_and_numpy_are_the_same_program() -> None:
    """The same voice in either has the same operations."""
    assert replace(trace(numpy_bell), name="bell") == trace(bell)


def test_turns_need_no_exact_tau() -> None:
    """With TAU in float32, sin(TAU * phase) has the phase itself as its turns too."""
    exact = trace(lambda phase: torch.sin(TAU * phase) + np.sin(TAU * phase))

    assert trace(float32_turns).operations == exact.operations


def test_a_compiled_module_is_its_module() -> None:
    """torch.compile wraps a module, whose own function is traced."""
    assert trace(torch.compile(Organ(), backend="eager")) == trace(Organ())


def test_exponentials_stay_within_float32() -> None:
    """Beyond 2**126, exp2 keeps its last value, which float32 holds with room for a sum."""
    program = trace(lambda phase: torch.exp2(1000 * phase))
    results = evaluate(program, {"phase": np.float32([-0.5, -0.2, 0.2, 0.5])})

    np.testing.assert_allclose(results[[0, 1]], 2.0**-126, rtol=1e-6)
    np.testing.assert_allclose(results[[2, 3]], 2.0**126, rtol=1e-6)


def test_the_largest_voice_has_1000_operations() -> None:
    """One operation more is refused."""

    def repeated(phase, count=MAX_OPERATIONS):
        for _ in range(count):
            phase = phase + 1
        return phase

    assert len(trace(repeated).operations) == MAX_OPERATIONS == 1000
    with pytest.raises(VoiceError, match="more than 1000 operations"):
        trace(partial(repeated, count=MAX_OPERATIONS + 1))


@pytest.mark.parametrize(
    "voice",
    [
        lambda phase, noise: noise,
        lambda phase: torch.where(phase > 0.47, 1.0, 0.0),
        lambda phase, norm: torch.sin(phase) * norm,
    ],
)
def test_a_voice_that_sounds_now_and_then_is_accepted(voice) -> None:
    """A voice may be noise, or silent at most phases or at some values of its controls."""
    assert trace(voice).operations or trace(voice).inputs == ("noise",)


def test_a_voice_without_source_has_a_place_too() -> None:
    """The error has file and line number where the text of the line is unknown."""
    namespace: dict = {}
    exec("\ndef voice(phase): return phase.erfinv()", namespace)  # noqa: S102
    with pytest.raises(VoiceError, match=r"^voice 'voice' \(<string>, line 2\): erfinv"):
        trace(namespace["voice"])


def test_a_program_is_plain_data() -> None:
    """JSON keeps a program, also the difference between value 1 and constant 1.0."""
    for voice in VOICES:
        program = find_voice(voice)
        assert Program.from_data(json.loads(json.dumps(program.to_data()))) == program
    one = find_voice(lambda phase: phase * 1.0 + 1)
    assert Program.from_data(json.loads(json.dumps(one.to_data()))) == one


def test_equal_operations_are_done_once() -> None:
    """Unneeded operations are left out; value 1 and constant 1.0 stay different."""

    def voice(phase, norm, depth):
        torch.exp(depth)
        return torch.sin(phase) * torch.sin(phase) + norm * 1.0 + 1.0

    once = trace(lambda phase: torch.sin(phase))
    program = trace(voice)

    assert program.inputs == ("phase", "norm")
    assert len(program.operations) == len(once.operations) + 4


class Counter(nn.Module):
    """A module whose state changes with each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, phase):
        self.calls += 1
        return torch.sin(phase * self.calls)


PHASES = []


def stateful(phase):
    PHASES.append(phase)
    return PHASES[0] + phase


def returns_old(phase):
    PHASES.append(phase)
    return PHASES[0]


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


def exiting(phase):
    sys.exit(int(phase is None))


POWER = "the power of a value must be 0.5 or a whole number from 1 to 16: write others with"
UNKNOWN = (
    "its parameter {!r} is unknown and has no default; there are phase, dt, time, noise"
)
# A voice, and how the reason begins.
REFUSED = [
    (
        lambda phase: phase.erfinv(),
        r"erfinv cannot be compiled; write it with \+ - .*atan.*",
    ),
    (lambda phase: torch.erfinv(phase), "erfinv cannot be compiled; write it with"),
    (lambda phase, norm: phase**norm, POWER),
    (lambda phase: phase**-1.5, POWER),
    (lambda phase: phase**17, POWER),
    (lambda phase: (-2.0) ** phase, POWER),
    (branching, "it branches on a value .*: write torch.where"),
    (lambda phase: max(phase, 0.0), ".* instead of if, and, or, not, min, max"),
    (Counter(), "its operations differ from call to call: remove state and random numbers"),
    (lambda phase: phase * torch.rand(()), ".*a parameter called noise is white noise"),
    (stateful, "it keeps a value of an earlier call: remove its state"),
    (returns_old, "it returns a value of an earlier call: remove its state"),
    (lambda phase: torch.ones(4) * phase, r"mul got an argument of shape \(4,\): .*one by"),
    (lambda phase: torch.stack([phase, phase])[0], "stack cannot be compiled"),
    (lambda phase: torch.stack([torch.ones(1), phase])[0], "stack cannot be compiled"),
    (lambda phase, foo: foo, UNKNOWN.format("foo")),
    (nn.Linear(2, 2), UNKNOWN.format("input")),
    (lambda norm: norm, r"it needs a parameter called phase .*, but its .* are \(norm\)"),
    (positional, "its parameters must accept keywords: remove the /"),
    (Organ, r"it is a class: pass an instance, such as Organ\(\)"),
    (torch.sin, "Python does not know its parameters: wrap it in a function of phase"),
    (lambda phase: torch.tanh(1e39 * phase), r"float32 cannot hold the constant 1e\+39"),
    (lambda phase: phase * float("nan"), "float32 cannot hold the constant nan"),
    (lambda phase: phase * 1j, "mul accepts real numbers only, got complex"),
    (exiting, "it fails when it is traced: SystemExit: 0"),
    (lambda phase: 0.3, "it returns 0.3 at every phase, which is silence"),
    (lambda phase: None, "it returns NoneType: return one number"),
    (lambda phase: (phase, phase), "it returns tuple: return one number"),
    (lambda phase, norm: norm, "it does not depend on its phase"),
    (lambda phase, time: phase * (4 - time) ** 0.5, "it returns nan at phase .*, time 5"),
    (lambda phase, dt: phase / (0.45 - dt), "it returns -?inf at .*, dt 0.45"),
    (lambda phase, noise: phase / (0.8 - noise), "it returns -?inf at .*, noise 0.8"),
    (lambda phase, norm: torch.sin(phase) / norm, "it returns -?inf at .*, norm 0"),
    (lambda phase: phase * 0, "it returns -?0 at every phase"),
    (endless, f"it takes more than {MAX_OPERATIONS} operations"),
    (lambda phase: math.sin(phase), "it makes a plain number of a value.*math module"),
    (lambda phase: torch.zeros(phase.shape) + phase, "shape cannot be compiled"),
    (in_place, "mul_ cannot be compiled"),
    (lambda phase: torch.add(phase, phase, alpha=2), "add cannot be compiled with these"),
    (lambda phase: phase.clamp(lowest=0), "clamp cannot be compiled with these"),
    (lambda phase: functional.dropout(phase, 0.5), "dropout cannot be compiled"),
    (lambda phase: np.cumsum(phase), "cumsum cannot be compiled"),
    (lambda phase: np.add.reduce(phase), r"add\.reduce cannot be compiled"),
    (
        lambda phase: torch.where(phase, 1.0, 0.0),
        "where needs a comparison as its condition",
    ),
    (lambda phase: (phase < 0) & phase, "and needs comparisons, such as phase < 0"),
    (lambda phase: (phase < 0) ^ phase, "xor needs comparisons, such as phase < 0"),
    (lambda phase: sine(phase), ".* NameError: name 'sine' is not defined"),  # noqa: F821
]


@pytest.mark.parametrize(
    ("voice", "reason"), REFUSED, ids=[reason for _, reason in REFUSED]
)
def test_other_voices_are_refused(voice, reason: str) -> None:
    """The error names the voice, its place and the reason, with the remedy."""
    with pytest.raises(VoiceError, match=r"^voice '(\w+|<lambda>)'") as raised:
        trace(voice)

    # The line in the error may contain this test's pattern: the inner error is the reason.
    inner = str(raised.value.__context__)
    assert re.match(reason, inner)
    assert str(raised.value).endswith(f": {inner}")


def test_an_error_has_the_users_line() -> None:
    """The error has the file, the number and the text of the line at fault."""
    with pytest.raises(VoiceError) as raised:
        trace(branching)
    line = branching.__code__.co_firstlineno + 1

    assert f"({__file__}, line {line}: if phase > 0:)" in str(raised.value)


def test_other_objects_are_refused() -> None:
    """A voice can be called or is a known name; the error has the nearest name."""
    with pytest.raises(TypeError, match="a voice is a name, a function or a module, got 3"):
        find_voice(3)
    with pytest.raises(ValueError, match="no voice 'bel'; did you mean 'bell'"):
        find_voice("bel")
    with pytest.raises(ValueError, match=r"'mine:bell': .* import the function and pass"):
        find_voice("mine:bell")


def test_tracing_changes_nothing() -> None:
    """A module keeps its parameters and gradients, and torch its random numbers."""
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
    """A preset holds a voice's program, which other processes read as JSON."""
    preset = find_preset("notes", bell)

    assert preset.voice == trace(bell)
    assert from_data(json.loads(json.dumps(to_data(preset)))) == preset
    assert find_preset("notes", "saw").voice == "saw"
    assert isinstance(PRESETS["notes"].voice, tuple)


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "phase"])
def test_a_voice_may_have_every_input(name: str) -> None:
    """A parameter gets the input of its name, by keyword."""
    namespace: dict = {}
    exec(f"def voice(phase, *, {name}): return phase * {name}", namespace)  # noqa: S102

    assert trace(namespace["voice"]).inputs == tuple(
        n for n in INPUTS if n in ("phase", name)
    )
