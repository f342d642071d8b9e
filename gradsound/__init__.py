"""Public names of gradsound: hear the gradient norms of every layer of your network.

`listen` plays a training live and records it; `attach` only records it:

    with gradsound.listen(model, optimizer):
        train(model, optimizer)  # your loop, unchanged
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gradsound.version import __version__ as __version__

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Alarm, Thresholds
    from gradsound.api import attach, listen
    from gradsound.attachment import Attachment
    from gradsound.errors import (
        GradsoundError,
        GradsoundWarning,
        MissingExtraError,
        RunFormatError,
        StopTraining,
        VoiceError,
    )
    from gradsound.experts import in_use
    from gradsound.integrations.composer import ComposerCallback as ComposerCallback
    from gradsound.integrations.fastai import FastaiCallback as FastaiCallback
    from gradsound.integrations.keras import KerasCallback as KerasCallback
    from gradsound.integrations.lightning import LightningCallback as LightningCallback
    from gradsound.integrations.transformers import (
        TransformersCallback as TransformersCallback,
    )
    from gradsound.music.captions import Caption
    from gradsound.music.layer_groups import Band
    from gradsound.music.pitch import SCALES, LinearPitch, LogPitch
    from gradsound.music.presets import PRESETS, Preset
    from gradsound.music.value_mapping import Drive
    from gradsound.rendering.picture import plot
    from gradsound.rendering.rendered_file import render
    from gradsound.rendering.sound_legend import legend
    from gradsound.run_views import Run, read_ranks, read_run
    from gradsound.runs.model import Header
    from gradsound.runs.step import Step
    from gradsound.summary.norm_statistics import NormRange
    from gradsound.summary.rank_facts import RankFacts
    from gradsound.summary.run_summary import Summary, summarize
    from gradsound.summary.signal_statistics import SignalRange
    from gradsound.summary.step_counts import LoggedSteps
    from gradsound.summary.value_statistics import ValueRange
    from gradsound.synth.voices.program import INPUTS, Program
    from gradsound.synth.voices.tracer import trace

# The callbacks are not in __all__: import * would ask for their frameworks.
__all__ = [
    "INPUTS",
    "PRESETS",
    "SCALES",
    "Alarm",
    "Attachment",
    "Band",
    "Caption",
    "Drive",
    "GradsoundError",
    "GradsoundWarning",
    "Header",
    "LinearPitch",
    "LogPitch",
    "LoggedSteps",
    "MissingExtraError",
    "NormRange",
    "Preset",
    "Program",
    "RankFacts",
    "Run",
    "RunFormatError",
    "SignalRange",
    "Step",
    "StopTraining",
    "Summary",
    "Thresholds",
    "ValueRange",
    "VoiceError",
    "attach",
    "in_use",
    "legend",
    "listen",
    "plot",
    "read_ranks",
    "read_run",
    "render",
    "summarize",
    "trace",
]

# A name is imported at its first use: the process of the sound device must play before
# numpy is loaded, and neither torch nor a framework is needed to render.
_MODULES = {
    "alarms.thresholds": ("Alarm", "Thresholds"),
    "api": ("attach", "listen"),
    "attachment": ("Attachment",),
    "errors": (
        "GradsoundError",
        "GradsoundWarning",
        "MissingExtraError",
        "RunFormatError",
        "StopTraining",
        "VoiceError",
    ),
    "experts": ("in_use",),
    "integrations.composer": ("ComposerCallback",),
    "integrations.fastai": ("FastaiCallback",),
    "integrations.keras": ("KerasCallback",),
    "integrations.lightning": ("LightningCallback",),
    "integrations.transformers": ("TransformersCallback",),
    "music.captions": ("Caption",),
    "music.layer_groups": ("Band",),
    "music.pitch": ("LinearPitch", "LogPitch", "SCALES"),
    "music.presets": ("PRESETS", "Preset"),
    "music.value_mapping": ("Drive",),
    "rendering.sound_legend": ("legend",),
    "rendering.picture": ("plot",),
    "rendering.rendered_file": ("render",),
    "run_views": ("Run", "read_ranks", "read_run"),
    "runs.model": ("Header",),
    "runs.step": ("Step",),
    "summary.norm_statistics": ("NormRange",),
    "summary.rank_facts": ("RankFacts",),
    "summary.run_summary": ("Summary", "summarize"),
    "summary.signal_statistics": ("SignalRange",),
    "summary.step_counts": ("LoggedSteps",),
    "summary.value_statistics": ("ValueRange",),
    "synth.voices.program": ("INPUTS", "Program"),
    "synth.voices.tracer": ("trace",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
