"""One program, three evaluations: numpy, machine code and torch agree."""

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
from helpers.events import by_chance

from gradsound.llvm import parsed
from gradsound.rendering.voice_demo import sweep
from gradsound.synth import events
from gradsound.synth.events import EVENT
from gradsound.synth.kernels import llvm_kernel, llvm_module, llvm_ops, numpy_kernel, select
from gradsound.synth.mixer import render
from gradsound.synth.voices import builtin
from gradsound.synth.voices.builtin import VOICES, clang, find_voice, program_of
from gradsound.synth.voices.functions import TAU
from gradsound.synth.voices.program import ROOM, evaluate

PERIOD = 1 / 44_100  # seconds
SPAN = 20_700  # frames that the events take
EACH = pytest.mark.parametrize("voice", [*VOICES.values(), clang], ids=lambda v: v.__name__)
X86 = platform.machine() in ("x86_64", "AMD64")


def rendered(
    kernel: events.Kernel, made: np.ndarray, block: int = SPAN, channels: int = 1
) -> np.ndarray:
    """The samples of events, made in blocks, shape (C, SPAN)."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, SPAN, block):
            frames = min(block, SPAN - start)
            out = np.zeros((channels, frames + ROOM), np.float32)
            kernel(out, start, PERIOD, made)
            yield out[:, :frames]

    return np.concatenate([*blocks()], axis=1)


@EACH
@pytest.mark.parametrize("channels", [1, 2])
def test_machine_code_is_numpy(voice, channels: int) -> None:
    """To the last bit, over 300 events of any kind, in blocks of any size."""
    program, made = program_of(voice), by_chance(300)
    right = rendered(numpy_kernel.kernel(program, channels), made, channels=channels)
    kernel = llvm_kernel.kernel(program, channels)

    assert np.isfinite(right).all()
    assert np.abs(right).max() > 0.05
    for block in (SPAN, 1, 63, 64, 65, 441, 8193) if channels == 1 else (SPAN, 65):
        np.testing.assert_array_equal(rendered(kernel, made, block, channels), right)


@EACH
@pytest.mark.parametrize("block", [1, 63, 64, 65, 441, 8193])
def test_numpy_is_numpy_in_any_blocks(voice, block: int) -> None:
    """The reference says the same however it is cut; of ten events, as blocks of 1 take."""
    kernel, made = numpy_kernel.kernel(program_of(voice), 1), by_chance(10)
    made["first"] %= 400

    np.testing.assert_array_equal(
        rendered(kernel, made, block)[:, :1000], rendered(kernel, made)[:, :1000]
    )


@pytest.mark.skipif(not X86, reason="the processors are x86-64's")
@EACH
@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v3"])
def test_every_processor_makes_the_same(voice, cpu: str) -> None:
    """Code for the plainest x86-64 and for AVX2, which this machine runs too."""
    program, made = program_of(voice), by_chance(300)

    np.testing.assert_array_equal(
        rendered(llvm_kernel.kernel(program, 1, cpu), made),
        rendered(numpy_kernel.kernel(program, 1), made),
    )


@EACH
def test_arm_code_has_vectors(voice) -> None:
    """For AArch64 it cannot be run here, but it works on four numbers at once."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    arm = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine()
    code = llvm_module.kernel(program_of(voice), 2, "kernel")
    assembly = arm.emit_assembly(parsed(code))

    assert assembly.count(".4s") > 50
    assert "fmla" not in assembly  # fused, it would round once where others round twice


def test_rooms_are_left_as_they_were() -> None:
    """What a kernel reads and writes beyond a block, it does not change."""
    made = by_chance(300)
    out = np.full((2, 100 + ROOM), 7.0, np.float32)
    llvm_kernel.kernel(program_of(VOICES["bell"]), 2)(out, 10_000, PERIOD, made)

    assert (out[:, 100:] == 7.0).all()
    assert (out[:, :100] != 7.0).any()


@EACH
def test_torch_says_the_same(voice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The voice itself, in torch's float64, within 2e-6 or what float32 makes possible."""
    program = program_of(voice)
    inputs = {name: torch.rand(20_000) * 0.9 + 0.05 for name in program.inputs}
    inputs["phase"] = torch.rand(20_000) - 0.5
    if "dt" in inputs:
        inputs["dt"] *= 0.3
    given = {name: value.double() for name, value in inputs.items()}
    if "bright" in inspect.signature(voice).parameters:
        given["bright"] = given.pop("deviation") * 0.5 + 0.5
    monkeypatch.setattr(builtin, "np", Translated())
    by_torch = voice(**given).numpy()
    by_program = evaluate(program, {name: value.numpy() for name, value in inputs.items()})

    # Seven turns rounded to float32, times the index 5; a quotient of two small numbers.
    tolerance = {"clang": 1e-5, "growl": 1e-5}.get(voice.__name__, 2e-6)
    np.testing.assert_allclose(by_program, by_torch, rtol=0, atol=tolerance)


class Translated:
    """The functions of numpy, by torch."""

    def __getattr__(self, name: str):
        return getattr(torch, name)

    def clip(self, x, low, high):
        """Bounds may be tensors too."""
        return torch.minimum(torch.maximum(x, torch.as_tensor(low)), torch.as_tensor(high))

    def minimum(self, x, most):
        """Likewise."""
        return torch.minimum(x, torch.as_tensor(most, dtype=x.dtype))


def test_without_llvmlite_it_is_numpy() -> None:
    """The same samples, and no complaint for voices of ours."""
    program = """
        import sys
        import importlib.util
        found = importlib.util.find_spec
        importlib.util.find_spec = lambda name: None if name == "llvmlite" else found(name)
        sys.modules["llvmlite"] = None
        import hashlib, numpy as np
        from gradsound.rendering.voice_demo import sweep
        from gradsound.synth.kernels.select import renderer
        from gradsound.synth.mixer import render
        from gradsound.synth.voices.builtin import find_voice
        samples = render(sweep(find_voice("bell")), 44100)
        print(hashlib.sha256(samples.tobytes()).hexdigest())
        print(renderer())
        def own(phase):
            return np.sin(phase)
        find_voice(own)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )
    digest, renders = done.stdout.splitlines()
    here = hashlib.sha256(render(sweep(find_voice("bell")), 44_100).tobytes()).hexdigest()

    assert digest == here
    assert renders.startswith("Rendered by numpy; pip install 'gradsound[jit]'")
    assert done.stderr.count("numpy plays voice 'own', as llvmlite is not installed") == 1
    assert "bell" not in done.stderr


def test_what_llvm_refuses_numpy_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning says so, and the samples are the same."""
    monkeypatch.setitem(llvm_ops.OPERATIONS, "mul", "no instruction {} {}")
    program, made = program_of(VOICES["sine"]), by_chance(10)
    select.kernel.cache_clear()
    with pytest.warns(RuntimeWarning, match="'sine' cannot be compiled, numpy plays it"):
        kernel = select.kernel(program, 1)
    assert select.kernel(program, 1) is kernel  # and is not told again
    select.kernel.cache_clear()

    np.testing.assert_array_equal(
        rendered(kernel, made), rendered(numpy_kernel.kernel(program, 1), made)
    )


def test_many_kernels_live_together() -> None:
    """Each has a name of its own in the one engine."""
    made = by_chance(10)
    kernels = [llvm_kernel.kernel(program_of(voice), 1) for voice in VOICES.values()]
    for kernel, voice in zip(kernels, VOICES.values()):
        right = rendered(numpy_kernel.kernel(program_of(voice), 1), made)
        np.testing.assert_array_equal(rendered(kernel, made), right)


def test_sine_is_a_sine() -> None:
    """To 3e-7, over every phase that a float32 step of 2**-20 turns meets."""
    phase = (np.arange(-(2**19), 2**19 + 1) * 2.0**-20).astype(np.float32)
    made = evaluate(program_of(VOICES["sine"]), {"phase": phase})

    np.testing.assert_allclose(made, np.sin(TAU * phase.astype(float)), rtol=0, atol=3e-7)
    assert made[0] == made[2**19] == made[-1] == 0.0


def test_noise_is_white() -> None:
    """Uniform within -1..1, as loud in every tenth of the spectrum, and unlike its past."""

    def noise(phase, noise):
        return noise + 0 * phase

    made = np.zeros(1, EVENT)
    made["count"], made["gain"], made["slot"] = 2**16, 1.0, 5
    out = np.zeros((1, 2**16 + ROOM), np.float32)
    numpy_kernel.kernel(program_of(noise), 1)(out, 0, PERIOD, made)
    out = out[:, : 2**16]
    power = np.abs(np.fft.rfft(out[0][:-1])[1:]) ** 2
    tenths = [part.mean() for part in np.array_split(power, 10)]

    np.testing.assert_allclose(out.mean(), 0, atol=0.01)
    np.testing.assert_allclose(out.std(), 1 / 3**0.5, rtol=0.01)
    np.testing.assert_allclose(tenths, np.mean(tenths), rtol=0.1)
