"""Captions: the text of each kind, in one line that fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st

from gradsound.alarms.thresholds import Alarm
from gradsound.durations import format_duration
from gradsound.music.captions import (
    Caption,
    alarm_text,
    epoch_text,
    fit_text,
    minute_text,
    pause_text,
    unannounced_text,
)
from gradsound.music.composer import Composer
from gradsound.music.layer_groups import each_layer, find_bands
from gradsound.music.moments import Moment
from gradsound.music.presets import PRESETS
from gradsound.music.run_captions import RunCaptions
from gradsound.runs.step import Step

VALUES = {"accuracy": 0.5, "epoch": 2.0, "lr": 3e-4, "loss": 1 / 3}


def step_of(norms: list[float | None], number: int = 1234) -> Step:
    """Returns a step with these norms, and values in an unusual order."""
    (step,) = make_run([norms]).steps
    return replace(step, number=number, values=VALUES)


def test_the_text_of_a_minute_begins_with_what_matters() -> None:
    """The norm of the model, loss, learning rate and epoch come before bands and others."""
    names = tuple(f"layer{k}" for k in range(5))
    step = step_of([3.0, 4.0, 12.0, None, None])

    assert minute_text(step, find_bands(names)) == (
        "step 1,234: norm 13, loss 0.3333, lr 0.0003, epoch 2, early 5, middle 12"
    )
    assert minute_text(step, find_bands(names, {"all": ("*",)})) == (
        "step 1,234: norm 13, loss 0.3333, lr 0.0003, epoch 2, all 13, accuracy 0.5"
    )


def test_a_minute_of_a_log_with_one_norm() -> None:
    """The norm of the whole model is told once."""
    text = minute_text(step_of([0.25]), each_layer(["grad_norm"]))
    assert text == ("step 1,234: norm 0.25, loss 0.3333, lr 0.0003, epoch 2, accuracy 0.5")


def test_a_minute_has_the_signals() -> None:
    """The median of the layers, after the usual values; none of a signal without any."""
    signals = {"update_ratio": [0.001, 0.0021, np.nan, 0.5], "snr": [np.nan] * 4}
    arrays = {name: np.array(row, np.float32) for name, row in signals.items()}
    step = replace(step_of([1.0] * 4), signals=arrays, values={})
    text = minute_text(step, each_layer(["a", "b", "c", "d"]))

    assert text.startswith("step 1,234: norm 2, update ratio 0.0021, a 1, b 1")


def test_a_minute_has_the_last_signals() -> None:
    """A step without a measurement has the numbers of an earlier one."""
    run_captions = RunCaptions(each_layer(["a"]), "")
    one = np.array([0.25], np.float32)
    step = replace(step_of([1.0]), values={})
    run_captions.add_moment(Moment(7, replace(step, signals={"snr": one})), 0.0)
    run_captions.add_moment(Moment(8, step), 61.0)

    (caption,) = run_captions.captions
    assert caption.text == "step 1,234: norm 1, snr 0.25"


def test_a_minute_without_finite_norms() -> None:
    """NaN, infinity and a missing gradient are words."""
    step = replace(step_of([np.inf, None]), values={"loss": -np.inf, "lr": np.nan})
    text = minute_text(step, each_layer(["a", "b"]))
    assert text == (
        "step 1,234: norm infinite, loss -infinite, lr NaN, a infinite, b no gradient"
    )
    assert minute_text(step_of([np.nan]), each_layer(["a"])).startswith(
        "step 1,234: norm NaN, "
    )


def test_what_does_not_fit_is_left_out_whole() -> None:
    """A number never loses its digits; a shorter part may follow."""
    names = tuple(f"a.very.long.name.of.layer.{k}" for k in range(4))
    text = minute_text(step_of([1.0] * 4), each_layer(names))

    assert len(text) <= 80
    assert text == ("step 1,234: norm 2, loss 0.3333, lr 0.0003, epoch 2, accuracy 0.5")


@pytest.mark.parametrize(
    ("still", "more", "end"),
    [
        (False, 0, ""),
        (True, 0, ", still so"),
        (True, 1200, ", still so (1,200 more since the last)"),
    ],
)
def test_the_text_of_an_alarm(still: bool, more: int, end: str) -> None:
    """It has the step, what happened, whether it lasts and how many had no caption."""
    alarm = Alarm("nonfinite", 13_912, "NaN in fc1", ("fc1",))
    text = alarm_text(alarm, still=still, more=more)
    assert text == f"step 13,912: NaN in fc1{end}"


def test_other_texts() -> None:
    """Numbers have commas; kinds are counted."""
    assert epoch_text(1000, 3.0) == "step 1,000: epoch 3"
    assert pause_text(1000) == "no step since step 1,000"
    counts = {"spike": 3, "skipped": 1200}
    assert unannounced_text(counts) == (
        "not announced: 3 more of spike, 1,200 more of skipped"
    )


def test_long_names_keep_their_ends() -> None:
    """The text stays whole, because only the beginning of the name is left out."""
    name = "model.encoder.layers.11.self_attention.query_projection.linear"
    text = f"step 13,912: spike in {name}, 18 x its median (and 11 more)"

    assert fit_text(text) == (
        "step 13,912: spike in ....query_projection.linear, 18 x its median (and 11 more)"
    )
    assert len(fit_text(text)) == 80
    assert fit_text("NaN in fc1", "run.jsonl") == "run.jsonl, NaN in fc1"
    assert fit_text("NaN in fc1", "runs_of_last_year_42.jsonl") == (
        "...ast_year_42.jsonl, NaN in fc1"
    )


@given(st.text(), st.text(max_size=40), st.floats(0, 360_000))
def test_every_caption_is_one_line_of_90_characters(
    text: str, run_name: str, time: float
) -> None:
    """Whatever a layer or a run is called, also with the time before the text."""
    caption = Caption(time, fit_text(text, run_name), "spike")

    assert len(caption.text) <= 80
    assert len(str(caption)) <= 90
    assert len(caption.text.splitlines()) <= 1


def test_the_composer_fits_every_caption() -> None:
    """Alarms, epochs and minutes of a run with long names are lines of 80 characters."""
    names = [f"model.encoder.layers.{k}.self_attention.query" for k in range(3)]
    composer = Composer(names, PRESETS["notes"], run_name="a run with a long name.jsonl")
    alarm = Alarm(
        "dead", 7, f"dead layer: {names[0]}, gradient 0 (and 2 more)", tuple(names)
    )
    step = replace(step_of([1.0, 2.0, 3.0], 7), values=VALUES)
    composer.compose([Moment(7, step, (alarm,))], np.array([61.0]), np.array([0.5]))
    texts = [caption.text for caption in composer.captions]

    assert [caption.kind for caption in composer.captions] == ["epoch", "minute", "dead"]
    assert all(text.startswith("...a long name.jsonl, step 7: ") for text in texts)
    assert texts[1].startswith("...a long name.jsonl, step 7: norm 3.74, loss 0.3333")
    assert max(map(len, texts)) <= 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (8.335, "8.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (133.0, "2 min 13 s"),
        (3599.6, "1 h 0 min 0 s"),
        (93784.2, "26 h 3 min 4 s"),
        (4_000_000.0, "1,111 h 6 min 40 s"),
    ],
)
def test_durations_have_hours_and_minutes(seconds: float, text: str) -> None:
    """Nobody has to divide seconds by 3,600."""
    assert format_duration(seconds) == text
