"""Kernels: numpy, machine code and torch compute the same samples of a program."""

import hashlib
import inspect
import os
import platform
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import llvmlite.binding as llvm
import numpy as np
import pytest
import torch
from helpers.events import PERIOD, random_events

from gradsound.llvm import parse_module
from gradsound.rendering.voice_demo import demo_score
from gradsound.synth.events import EVENT, Kernel
from gradsound.synth.kernels import llvm_kernel, llvm_module, llvm_ops, numpy_kernel
from gradsound.synth.kernels.select import select_kernel
from gradsound.synth.mixer import render
from gradsound.synth.voices.builtin import VOICES, clang, find_voice, trace_builtin
from gradsound.synth.voices.functions import TAU
from gradsound.synth.voices.program import PADDING, evaluate

SPAN = 20_700  # frames until the end of the random events
EACH = pytest.mark.parametrize("voice", [*VOICES.values(), clang], ids=lambda v: v.__name__)
X86 = platform.machine() in ("x86_64", "AMD64")


def rendered(
    kernel: Kernel, events: np.ndarray, block: int = SPAN, channels: int = 1
) -> np.ndarray:
    """Returns the samples of events, rendered in blocks, shape (C, SPAN)."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, SPAN, block):
            frames = min(block, SPAN - start)
            out = np.zeros((channels, frames + PADDING), np.float32)
            kernel(out, start, PERIOD, events)
            yield out[:, :frames]

    return np.concatenate([*blocks()], axis=1)


@EACH
@pytest.mark.parametrize("channels", [1, 2])
def test_machine_code_is_numpy(voice, channels: int) -> None:
    """Both have the same samples of 300 random events, in blocks of any size."""
    program, events = trace_builtin(voice), random_events(300)
    expected = rendered(
        numpy_kernel.make_kernel(program, channels), events, channels=channels
    )
    kernel = llvm_kernel.make_kernel(program, channels)

    assert np.isfinite(expected).all()
    assert np.abs(expected).max() > 0.05
    for block in (SPAN, 1, 63, 64, 65, 441, 8193) if channels == 1 else (SPAN, 65):
        np.testing.assert_array_equal(rendered(kernel, events, block, channels), expected)


@EACH
@pytest.mark.parametrize("block", [1, 63, 64, 65, 441, 8193])
def test_numpy_is_numpy_in_any_blocks(voice, block: int) -> None:
    """The samples do not depend on the blocks. Ten events, since blocks of 1 are slow."""
    kernel, events = numpy_kernel.make_kernel(trace_builtin(voice), 1), random_events(10)
    events["first"] %= 400

    np.testing.assert_array_equal(
        rendered(kernel, events, block)[:, :1000], rendered(kernel, events)[:, :1000]
    )


@pytest.mark.skipif(not X86, reason="these are x86-64 processors")
@EACH
@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v3"])
def test_every_processor_makes_the_same(voice, cpu: str) -> None:
    """Code for the first x86-64 and for AVX2 has the same samples; both run here."""
    program, events = trace_builtin(voice), random_events(300)

    np.testing.assert_array_equal(
        rendered(llvm_kernel.make_kernel(program, 1, cpu), events),
        rendered(numpy_kernel.make_kernel(program, 1), events),
    )


@EACH
def test_arm_code_has_vectors(voice) -> None:
    """Code for AArch64, which this machine cannot run, works on four floats at a time."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    arm = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine()
    code = llvm_module.to_llvm_ir(trace_builtin(voice), 2, "kernel")
    assembly = arm.emit_assembly(parse_module(code))

    assert assembly.count(".4s") > 50
    assert "fmla" not in assembly  # fused multiply-adds round once in place of twice


def test_the_padding_stays_unchanged() -> None:
    """A kernel may read and write the frames after a block, but only adds 0 to them."""
    events = random_events(300)
    out = np.full((2, 100 + PADDING), 7.0, np.float32)
    llvm_kernel.make_kernel(trace_builtin(VOICES["bell"]), 2)(out, 10_000, PERIOD, events)

    assert (out[:, 100:] == 7.0).all()
    assert (out[:, :100] != 7.0).any()


@EACH
def test_torch_computes_the_same(voice) -> None:
    """The voice in torch's float64 differs by at most 2e-6, or by float32's rounding."""
    program = trace_builtin(voice)
    inputs = {name: torch.rand(20_000) * 0.9 + 0.05 for name in program.inputs}
    inputs["phase"] = torch.rand(20_000) - 0.5
    if "dt" in inputs:
        inputs["dt"] *= 0.3
    arguments = {
        name: value.double().as_subclass(TorchArray) for name, value in inputs.items()
    }
    if "bright" in inspect.signature(voice).parameters:
        arguments["bright"] = arguments.pop("deviation") * 0.5 + 0.5
    by_torch = voice(**arguments).numpy()
    by_program = evaluate(program, {name: value.numpy() for name, value in inputs.items()})

    # clang rounds seven turns to float32 and multiplies them by the index 5; growl divides
    # two small numbers.
    tolerance = {"clang": 1e-5, "growl": 1e-5}.get(voice.__name__, 2e-6)
    np.testing.assert_allclose(by_program, by_torch, rtol=0, atol=tolerance)


class TorchArray(torch.Tensor):
    """A tensor in float64 for which torch computes numpy's functions."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *arguments: object):
        assert method == "__call__"
        return compute_in_torch(ufunc.__name__, *arguments)

    def __array_function__(self, function, types, arguments, options):
        assert not options
        return compute_in_torch(function.__name__, *arguments)


def compute_in_torch(name: str, *arguments: object) -> torch.Tensor:
    """Returns the result of the function of torch that has the name."""
    tensors = [torch.as_tensor(argument, dtype=torch.float64) for argument in arguments]
    return getattr(torch, name)(*tensors)


def test_without_llvmlite_numpy_renders() -> None:
    """The samples are the same, and only a user's own voice makes a warning."""
    program = """
        import sys
        import importlib.util
        found = importlib.util.find_spec
        importlib.util.find_spec = lambda name: None if name == "llvmlite" else found(name)
        sys.modules["llvmlite"] = None
        import hashlib, numpy as np
        from gradsound.rendering.voice_demo import demo_score
        from gradsound.synth.kernels.select import describe_kernel
        from gradsound.synth.mixer import render
        from gradsound.synth.voices.builtin import find_voice
        samples = render(demo_score(find_voice("bell")), 44100)
        print(hashlib.sha256(samples.tobytes()).hexdigest())
        print(describe_kernel())
        def own(phase):
            return np.sin(phase)
        find_voice(own)
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )
    digest, kernel = process.stdout.splitlines()
    samples = render(demo_score(find_voice("bell")), 44_100)
    expected = hashlib.sha256(samples.tobytes()).hexdigest()

    assert digest == expected
    assert kernel.startswith("Rendered by numpy; pip install llvmlite")
    warning = "numpy renders voice 'own', because llvmlite is not installed: the same"
    assert process.stderr.count(warning) == 1
    assert "bell" not in process.stderr


def test_numpy_renders_what_llvm_cannot_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning says so, and the samples are the same."""
    monkeypatch.setitem(llvm_ops.OPERATIONS, "mul", "no instruction {} {}")
    program, events = trace_builtin(VOICES["sine"]), random_events(10)
    select_kernel.cache_clear()
    with pytest.warns(
        RuntimeWarning, match=r"compile voice 'sine', so numpy renders it: .*"
    ):
        kernel = select_kernel(program, 1)
    assert select_kernel(program, 1) is kernel  # and does not warn again
    select_kernel.cache_clear()

    np.testing.assert_array_equal(
        rendered(kernel, events), rendered(numpy_kernel.make_kernel(program, 1), events)
    )


def test_numpy_renders_without_llvms_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Llvmlite loads its library at first use, which may fail with an OSError."""

    def fail(*_: object) -> None:
        raise OSError("Could not find/load shared object file\nand more")

    monkeypatch.setattr(llvm_kernel, "make_kernel", fail)
    select_kernel.cache_clear()
    with pytest.warns(RuntimeWarning, match="renders it: Could not .* file$"):
        kernel = select_kernel(trace_builtin(VOICES["soft"]), 2)
    select_kernel.cache_clear()

    assert rendered(kernel, random_events(10), channels=2).any()


def test_many_kernels_share_an_engine() -> None:
    """Each kernel has a name of its own in LLVM's engine."""
    events = random_events(10)
    kernels = [
        llvm_kernel.make_kernel(trace_builtin(voice), 1) for voice in VOICES.values()
    ]
    for kernel, voice in zip(kernels, VOICES.values()):
        expected = rendered(numpy_kernel.make_kernel(trace_builtin(voice), 1), events)
        np.testing.assert_array_equal(rendered(kernel, events), expected)


def test_sine_is_a_sine() -> None:
    """Its error is at most 3e-7, at every multiple of 2**-20 turns; zeros are exact."""
    phase = (np.arange(-(2**19), 2**19 + 1) * 2.0**-20).astype(np.float32)
    sine = evaluate(trace_builtin(VOICES["sine"]), {"phase": phase})

    np.testing.assert_allclose(sine, np.sin(TAU * phase.astype(float)), rtol=0, atol=3e-7)
    assert sine[0] == sine[2**19] == sine[-1] == 0.0


def test_noise_is_white() -> None:
    """It is uniform in -1..1, and has the same power in every tenth of the spectrum."""

    def noise(phase, noise):
        return noise + 0 * phase

    event = np.zeros(1, EVENT)
    event["count"], event["gain"], event["slot"] = 2**16, 1.0, 5
    out = np.zeros((1, 2**16 + PADDING), np.float32)
    numpy_kernel.make_kernel(trace_builtin(noise), 1)(out, 0, PERIOD, event)
    out = out[:, : 2**16]
    power = np.abs(np.fft.rfft(out[0][:-1])[1:]) ** 2
    tenths = [part.mean() for part in np.array_split(power, 10)]

    np.testing.assert_allclose(out.mean(), 0, atol=0.01)
    np.testing.assert_allclose(out.std(), 1 / 3**0.5, rtol=0.01)
    np.testing.assert_allclose(tenths, np.mean(tenths), rtol=0.1)
