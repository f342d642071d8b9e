"""Measures how soon an alarm follows a fault in a real training, and how many are false.

It trains a convolutional network, a transformer, LoRA, a ResNet, an autoencoder and an
actor-critic, with each fault and without one. An alarm catches a fault if its kind fits,
and if it comes within three steps of the first step whose gradients the fault touches. Then
it trains three of them with signals, with faults that no norm tells at once; how many steps
an alarm may take depends on the fault. With ``--runs`` it also counts the alarms of every
run in a folder.

    python benchmarks/alarms.py [--seeds 3] [--signals] [--runs DIR] [TRAINING ...]

TRAINING is the beginning of a name in the tables, such as ``LoRA``. All take an hour.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from cart_pole import ActorCritic
from faults import FAULTS, SIGNAL_FAULTS
from image_tasks import (
    FAULTY_RECIPES,
    HEALTHY_RECIPES,
    Convolutions,
    ResNet,
    VariationalAutoencoder,
)
from language_tasks import LowRankAdaptation, Transformer
from machine import machine, threads
from training_task import STEPS, TrainingTask

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import OBSERVATIONS, Alarm, Thresholds
from gradsound.runs.step_block import make_block

if TYPE_CHECKING:
    from collections.abc import Collection

    from faults import Fault

    from gradsound import Step

FIRST_SEED = 10
FAULT_STEPS = 40  # of a training, from the step of its fault to its end
SIGNALS = ("update_ratio", "snr", "zeros")
SIGNAL_FAULT_STEP = 200  # of all; zeros are counted every 10th step
NOT_COUNTED = {"recovery", "end"}
COUNTS = f"{'rows':>6}  per 1,000  {'alarms':30}  observations"
LOSSES = 20  # first or last ones, whose mean the table shows

MakeTask = Callable[..., TrainingTask]
OTHERS: dict[str, list[MakeTask]] = {
    task.name: [task]
    for task in (
        Transformer,
        LowRankAdaptation,
        ResNet,
        VariationalAutoencoder,
        ActorCritic,
    )
}
FAULTY_TASKS: dict[str, list[MakeTask]] = {
    "convolutions": [partial(Convolutions, recipe=recipe) for recipe in FAULTY_RECIPES],
    **OTHERS,
}
HEALTHY_TASKS: dict[str, list[MakeTask]] = {
    str(recipe): [partial(Convolutions, recipe=recipe)] for recipe in HEALTHY_RECIPES
} | OTHERS
SIGNAL_TASKS: dict[str, list[MakeTask]] = {
    "convolutions, Adam": [partial(Convolutions, recipe=FAULTY_RECIPES[2])],
    **{task.name: [task] for task in (Transformer, ResNet)},
}


def main() -> None:
    """Prints the table of faults, of healthy trainings, and of the runs of a folder."""
    parser = argparse.ArgumentParser(description="Delay of alarms, and false alarms.")
    parser.add_argument(
        "trainings", nargs="*", metavar="TRAINING", help="train these alone"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="of each training; 0 trains nothing (3)"
    )
    parser.add_argument(
        "--first", type=int, default=FIRST_SEED, help=f"first seed ({FIRST_SEED})"
    )
    parser.add_argument("--signals", action="store_true", help="only train with signals")
    parser.add_argument(
        "--runs", type=Path, metavar="DIR", help="count the alarms of these runs too"
    )
    options = parser.parse_args()
    if options.seeds < 0:
        parser.error(f"--seeds must be 0 or more, got {options.seeds}")
    if options.runs is not None and not options.runs.is_dir():
        parser.error(f"--runs needs a folder with runs, got {options.runs}")
    for name in options.trainings:
        if not any(task.startswith(name) for task in (*FAULTY_TASKS, *HEALTHY_TASKS)):
            tasks = ", ".join(dict.fromkeys((*FAULTY_TASKS, *HEALTHY_TASKS)))
            parser.error(f"no training begins with {name!r}; there are: {tasks}")
    torch.set_num_threads(1)
    print(machine(threads()))
    if options.seeds:
        seeds = range(options.first, options.first + options.seeds)
        if not options.signals:
            print_faults(seeds, chosen(FAULTY_TASKS, options.trainings), FAULTS)
            print_healthy(seeds, chosen(HEALTHY_TASKS, options.trainings))
        tasks = chosen(SIGNAL_TASKS, options.trainings)
        if tasks:
            print("\nwith signals:")
            print_faults(seeds, tasks, SIGNAL_FAULTS, SIGNALS)
            print_healthy(seeds, tasks, SIGNALS)
    if options.runs is not None:
        print_runs(options.runs)


def chosen(tasks: dict[str, list[MakeTask]], names: list[str]) -> dict[str, list[MakeTask]]:
    """Returns the tasks whose names begin as one of these; all without any."""
    return {
        name: makers
        for name, makers in tasks.items()
        if not names or name.startswith(tuple(names))
    }


def print_faults(
    seeds: range,
    faulty_tasks: dict[str, list[MakeTask]],
    faults: Collection[Fault],
    signals: Collection[str] = (),
) -> None:
    """Trains with each fault; prints how many were caught, and in how many steps."""
    print(f"\n{'training':26}{'fault':24}caught  steps  {'alarm':16}  others")
    for (name, makers), fault in product(faulty_tasks.items(), faults):
        tasks = (make(seed, half=fault.half) for make, seed in product(makers, seeds))
        count, delays, fitting, others = 0, [], Counter[str](), Counter[str]()
        for task in tasks:
            if fault.half and not task.halves:
                continue
            if signals:
                task.fault_step = SIGNAL_FAULT_STEP
            caught, first = [], task.fault_step + fault.delay
            _, alarms = train(task, task.fault_step + FAULT_STEPS, fault, signals)
            for index, alarm in alarms:
                fits = alarm.kind in fault.kinds and 0 <= index - first < fault.steps
                (fitting if fits else others)[alarm.kind] += 1
                caught += [index - first + 1] * fits
            count, delays = count + 1, delays + caught[:1]
        if count:
            print(
                f"{name:26}{fault.name:24}{len(delays):3}/{count}  "
                f"{max(delays, default=0):5}  {format_counts(fitting):16}  "
                f"{format_counts(others)}",
                flush=True,
            )


def print_healthy(
    seeds: range, healthy_tasks: dict[str, list[MakeTask]], signals: Collection[str] = ()
) -> None:
    """Trains without a fault; prints the loss, first and last, and the alarms."""
    width = max(map(len, HEALTHY_TASKS))
    print(f"\n{'healthy training':{width}}  seed  {'loss':20}  {COUNTS}")
    for (name, makers), seed in product(healthy_tasks.items(), seeds):
        for make in makers:
            steps, alarms = train(make(seed), STEPS, signals=signals)
            losses = [step.values["loss"] for step in steps]
            first, last = np.mean(losses[:LOSSES]), np.mean(losses[-LOSSES:])
            print(
                f"{name:{width}}  {seed:4}  {f'{first:.3g} to {last:.3g}':20}  "
                f"{format_alarms(len(steps), alarms)}",
                flush=True,
            )


def print_runs(folder: Path) -> None:
    """Prints the alarms of every run in a folder."""
    paths, unreadable = sorted(folder.iterdir()), []
    width = max((len(path.name) for path in paths), default=0)
    print(f"\n{'run':{width}}  {COUNTS}")
    for path in paths:
        try:
            steps, alarms = find_alarms(path)
        except (gradsound.RunFormatError, OSError) as error:
            unreadable.append(str(error))
            continue
        counts = format_alarms(len(steps), alarms)
        print(f"{path.name:{width}}  {counts}", flush=True)
    for message in unreadable:
        print(f"no run: {message}")


def train(
    task: TrainingTask,
    steps: int,
    fault: Fault | None = None,
    signals: Collection[str] = (),
) -> tuple[list[Step], list[tuple[int, Alarm]]]:
    """Trains; returns what `find_alarms` returns of the run."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "run.jsonl"
        task.train(log, steps, fault, signals)
        return find_alarms(log)


def find_alarms(path: Path) -> tuple[list[Step], list[tuple[int, Alarm]]]:
    """Returns the steps and the alarms of a run, each alarm with the index of its step."""
    run = gradsound.read_run(path)
    steps = [*run.steps]
    found = RunDetector(run.header, Thresholds()).detect(make_block(steps))
    return steps, [(index, alarm) for index, alarms in enumerate(found) for alarm in alarms]


def format_alarms(rows: int, alarms: list[tuple[int, Alarm]]) -> str:
    """Returns the columns `COUNTS` of a run."""
    kinds = Counter(alarm.kind for _, alarm in alarms if alarm.kind not in NOT_COUNTED)
    observations = Counter({kind: kinds.pop(kind) for kind in OBSERVATIONS & kinds.keys()})
    rate = 1000 * kinds.total() / max(rows, 1)
    return (
        f"{rows:6}  {rate:9.1f}  {format_counts(kinds):30}  {format_counts(observations)}"
    )


def format_counts(kinds: Counter[str]) -> str:
    """Returns the kinds of alarms with their counts."""
    return ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "-"


if __name__ == "__main__":
    main()
