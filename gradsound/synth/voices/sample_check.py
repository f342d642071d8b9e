"""The check of the samples that a voice returns: finite numbers, and no silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import VoiceError
from gradsound.synth.voices.program import evaluate

if TYPE_CHECKING:
    from gradsound.synth.voices.program import Program

_PHASES, _NOISES = 64, (-0.9, 0.1, 0.8)
_GOLDEN = (5**0.5 - 1) / 2  # turns; no partial is zero at multiples of it
_LONGEST = 5.0  # seconds; no preset has longer notes
_PROBES = (0.0, 0.5, 1.0)  # of the controls; for deviation 2 x that - 1


def check_samples(program: Program) -> None:
    """Refuses a voice that is silent or returns NaN or infinity.

    It evaluates the voice at all combinations of a few values of each input.

    Raises:
        VoiceError: If the voice is refused.
    """
    grids = {
        "phase": np.arange(1, _PHASES + 1) * _GOLDEN % 1 - 0.5,
        "dt": np.array([1e-3, 0.05, 0.45]),
        "time": np.array([0.0, 0.01, _LONGEST]),
        "noise": np.array(_NOISES),
        "norm": np.array(_PROBES),
        "deviation": np.array(_PROBES) * 2 - 1,
        "depth": np.array(_PROBES),
    }
    axes = np.meshgrid(*(grids[name] for name in program.inputs), indexing="ij")
    inputs = {name: axis.astype(np.float32) for name, axis in zip(program.inputs, axes)}
    with np.errstate(all="ignore"):
        samples = np.asarray(evaluate(program, inputs))
    nonfinite = np.argwhere(~np.isfinite(samples))
    if len(nonfinite):
        first = tuple(nonfinite[0])
        values = ", ".join(f"{name} {axis[first]:g}" for name, axis in inputs.items())
        raise VoiceError(f"it returns {samples[first]} at {values}")
    if not {"phase", "noise"} & {*program.inputs}:
        raise VoiceError("it does not depend on its phase, which is silence")
    if np.ptp(samples) == 0:
        raise VoiceError(f"it returns {samples.flat[0]:g} at every phase, which is silence")
