"""Measures what it costs to find the alarms of a training in its own process.

Recordings without and with `on_alarm`, and with looks at `attachment.alarms`, take turns of
a second, in random order. It compares each turn with the recording alone of the same round,
and prints medians over all rounds. The control is a second recording alone. Turns are long,
because steps that are faster than a tenth of a second are looked at together.

Then it prints what detection takes for a step alone and in a block, and how long the first
look at a run of many steps takes.

    python benchmarks/training_alarms.py [--rounds 15] [model ...]

Needs ``pip install '.[benchmark]'``.
"""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

from chosen_models import chosen_models
from models import MODELS
from runs import make_header, make_run, new_log, write_run
from timed_loop import Loop, Measure

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.runs.step_block import make_block
from gradsound.training_alarms import _BLOCK_STEPS

TURN_SECONDS = 1.0
LAYERS = (4, 100, 1000)
BLOCKED_STEPS = 1024  # steps whose detection is timed
FIRST_LOOK_STEPS = 10_000
ALONE, CONTROL = "recording", "recording again (control)"
HEARD: list[str] = []  # kinds of alarms


def on_alarm(alarm: gradsound.Alarm) -> None:
    """Hears of an alarm."""
    HEARD.append(alarm.kind)


def turn(loop: Loop, case: str, steps: int) -> float:
    """Returns the seconds that a step of a recorded training takes."""
    options = {"on_alarm": on_alarm} if case == "on_alarm" else {}
    with gradsound.attach(
        loop.model, loop.optimizer, log=new_log(), **options
    ) as recording:
        looks: dict[str, Measure] = {
            "a look at each step": lambda _: recording.alarms,
            "a look every 100 steps": lambda k: k % 100 or recording.alarms,
        }
        return loop.turn(looks.get(case, lambda _: None), steps)


def compare(name: str, rounds: int) -> None:
    """Prints the table of one model."""
    loop = Loop(MODELS[name])
    steps = max(10, round(TURN_SECONDS / loop.seconds))
    cases = [ALONE, CONTROL, "on_alarm", "a look every 100 steps", "a look at each step"]
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in random.sample(cases, len(cases)):
            seconds[case].append(turn(loop, case, steps))
    alone = statistics.median(seconds[ALONE])
    print(f"\n{name}: {alone * 1e3:.2f} ms a recorded step, {rounds} rounds of {steps}")
    for case in cases[1:]:
        pairs = [*zip(seconds[case], seconds[ALONE])]
        ratio = statistics.median(one / other for one, other in pairs)
        added = statistics.median(one - other for one, other in pairs)
        print(f"  {case:26} {ratio:7.3f} x {added * 1e6:+8.0f} us", flush=True)


def print_detection() -> None:
    """Prints the time that a detector takes for a step, alone and in a block."""
    print(f"\ndetection        a step alone  in a block of {_BLOCK_STEPS}")
    for layers in LAYERS:
        steps = [*make_run(BLOCKED_STEPS, layers).steps]
        taken = []
        for size in (1, _BLOCK_STEPS):
            detector = RunDetector(make_header(layers), gradsound.Thresholds())
            begin = time.perf_counter()
            for first in range(0, BLOCKED_STEPS, size):
                detector.detect(make_block(steps[first : first + size]))
            taken.append((time.perf_counter() - begin) / BLOCKED_STEPS * 1e6)
        print(f"  {layers:5,} layers {taken[0]:10.0f} us {taken[1]:17.0f} us", flush=True)


def print_first_look() -> None:
    """Prints how long a first look reads earlier steps, as a resumed training does."""
    print(f"\nfirst look at {FIRST_LOOK_STEPS:,} steps")
    for layers in LAYERS:
        path = Path("long.jsonl")
        write_run(path, FIRST_LOOK_STEPS, layers)
        run = gradsound.read_run(path)
        begin = time.perf_counter()
        detector = RunDetector(run.header, gradsound.Thresholds())
        for block in run.blocks():
            detector.detect(block)
        print(f"  {layers:5,} layers {time.perf_counter() - begin:9.2f} s", flush=True)
        path.unlink()


def main() -> None:
    """Prints the tables."""
    models = ["CNN, batch 10", "MLP, 100 layers"]
    with chosen_models("Cost of alarms in the training itself.", models, 15) as arguments:
        for model in arguments.models:
            compare(model, arguments.rounds)
        print_detection()
        print_first_look()


if __name__ == "__main__":
    main()
