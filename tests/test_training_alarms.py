"""attachment.alarms: what the run file gives later, in the training's own process."""

import threading
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.alarms import header_of, healthy_norms, steps_of
from helpers.models import sgd, small
from helpers.ranks import run_ranks
from torch import nn

import gradsound
from gradsound import training_alarms
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.errors import GradsoundWarning
from gradsound.runs.restarts import TimeShift
from gradsound.runs.step_block import make_block
from gradsound.training_alarms import TrainingAlarms

pytestmark = pytest.mark.usefixtures("own_folder")


class Loop:
    """A loop whose gradients are NaN at some steps.

    Args:
        bad: Numbers of these steps.
        **options: Options of attach().
    """

    def __init__(self, *bad: int, **options: object) -> None:
        self.model, self.bad, self.steps = nn.Sequential(nn.Linear(1, 1)), bad, 0
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0)
        self.attachment = gradsound.attach(self.model, self.optimizer, **options)

    def train(self, steps: int) -> None:
        for _ in range(steps):
            value = torch.nan if self.steps in self.bad else 1.0
            for parameter in self.model.parameters():
                parameter.grad = torch.full_like(parameter, value)
            self.optimizer.step()
            self.steps += 1


def later(path: str = "run.jsonl", **changes: float) -> tuple[gradsound.Alarm, ...]:
    """Returns the alarms that the detectors find in a run file afterwards."""
    run = gradsound.read_run(path)
    detector = RunDetector(run.header, Thresholds(**changes))
    return tuple(chain.from_iterable(chain(*map(detector.detect, run.blocks()))))


@pytest.mark.parametrize("looks", [[], [3], [700], [3, 4, 300, 301, 1200, 1499]])
def test_alarms_are_those_of_the_run_file(looks: list[int]) -> None:
    """However often a user looks, first and last, the alarms are those found later."""
    rng = np.random.default_rng(1)
    loop = Loop(*rng.choice(1500, 90, replace=False).tolist())
    for number, look in zip(looks, [*looks[1:], 1500]):
        loop.train(number - loop.steps)
        numbers = [alarm.step for alarm in loop.attachment.alarms]
        assert numbers == sorted(numbers)
        assert all(number < look for number in numbers)
    loop.train(1500 - loop.steps)
    loop.attachment.close()

    assert loop.attachment.alarms == loop.attachment.alarms == later()
    assert len(later()) > 50


def test_a_look_has_the_step_before_it() -> None:
    """A look in the loop has the alarms of all steps on the host, also of waiting ones."""
    loop = Loop(40, 50)
    loop.train(41)
    assert [alarm.step for alarm in loop.attachment.alarms] == [40]
    loop.train(10)
    assert [alarm.step for alarm in loop.attachment.alarms] == [40, 43, 50]
    loop.attachment.close()


def test_nothing_is_searched_before_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """No detector sees a step until a user looks; an error of one ends the search alone."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(RunDetector, "detect", fail)
    loop = Loop(3)
    loop.train(600)
    with pytest.warns(GradsoundWarning, match="ended the search for alarms.*broken"):
        assert loop.attachment.alarms == ()
    loop.train(10)
    loop.attachment.close()
    assert loop.attachment.alarms == ()
    assert len([*gradsound.read_run("run.jsonl").steps]) == 610


@pytest.mark.parametrize("kept", [True, False])
def test_few_steps_wait(kept: bool) -> None:
    """After a look that no other follows, steps wait for a block of 256, not for ever."""
    header, found = header_of("a", "b"), []
    place = (Path("run.jsonl"), 1) if kept else None
    alarms = TrainingAlarms(header, Thresholds(), TimeShift(None), lambda: place)
    if kept:
        with pytest.warns(GradsoundWarning, match="no longer exists.*unknown"):
            alarms.look()
    for step in steps_of(healthy_norms(2000, 2)):
        alarms.add(make_block([step]))
        found.append(len(alarms._waiting))
    assert max(found) == 255


def test_a_training_without_a_run_file() -> None:
    """With log=None and a sound, the alarms are there, also after the sound is ready."""
    loop = Loop(5, log=None, wav="run.wav")
    loop.train(20)
    loop.attachment.close()
    assert [alarm.text for alarm in loop.attachment.alarms] == [
        "NaN in 0",
        "finite again: 0",
    ]
    assert not [*Path().glob("*.jsonl")]


def test_the_history_of_a_resumed_run_counts() -> None:
    """Alarms are those of the whole file; a state from before the restart goes on."""
    first = Loop(*range(15, 20))
    first.train(20)
    first.attachment.close()
    heard: list[gradsound.Alarm] = []
    again = Loop(*range(8), resume=True, start_step=18, on_alarm=heard.append)
    assert [alarm.step for alarm in again.attachment.alarms] == [15]
    again.train(30)
    again.attachment.close()

    assert again.attachment.alarms == later()
    assert [alarm.step for alarm in again.attachment.alarms] == [15, 28]
    assert [(alarm.kind, alarm.step) for alarm in heard] == [("recovery", 28)]


def test_a_night_before_a_restart_is_no_stall() -> None:
    """Steps that wait have the times of the run, without the gap before the restart."""
    for parts in range(2):
        loop = Loop(resume=True)
        if parts:
            monitor = loop.attachment._monitor
            for part in (monitor, monitor.repeated):
                part.start -= 30_000  # seconds
        assert loop.attachment.alarms == ()
        loop.train(40)
        loop.attachment.close()
    assert [*loop.attachment.alarms] == [*later()]
    assert not [alarm for alarm in loop.attachment.alarms if alarm.kind == "stall"]


def test_a_later_run_takes_the_name() -> None:
    """The first look after that still finds the file, which has a number by then."""
    first = Loop(5)
    first.train(10)
    first.attachment.close()
    second = Loop()
    second.train(10)
    second.attachment.close()
    assert first.attachment.alarms == later("run.1.jsonl") != ()
    assert second.attachment.alarms == ()


def test_a_removed_run_file() -> None:
    """One warning says which alarms are unknown; those that follow are found."""
    loop = Loop(5, 15)
    loop.train(10)
    loop.attachment._monitor.flush()
    Path("run.jsonl").unlink()
    with pytest.warns(GradsoundWarning, match="alarms of earlier steps are unknown"):
        assert loop.attachment.alarms == ()
    loop.train(10)
    assert [alarm.step for alarm in loop.attachment.alarms] == [15, 18]
    with pytest.warns(GradsoundWarning, match="it is there again"):
        loop.attachment.close()


def test_a_look_from_outside_while_the_training_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stall is there once while it lasts; after it, its end; after close(), none."""
    now = 100.0
    monkeypatch.setattr(training_alarms, "time", SimpleNamespace(monotonic=lambda: now))
    loop = Loop()
    for _ in range(40):
        loop.train(1)
        time.sleep(0.001)
    assert loop.attachment.alarms == ()
    now += 60
    looks: list[tuple[gradsound.Alarm, ...]] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: looks.append(loop.attachment.alarms))
        thread.start()
        thread.join()
    assert [[alarm.kind for alarm in look] for look in looks] == [["stall"]] * 2
    assert looks[0][0].persists
    loop.train(1)
    assert [alarm.kind for alarm in loop.attachment.alarms] == ["stall", "recovery"]
    loop.attachment.close()
    now += 3600
    assert len(loop.attachment.alarms) == 2


def test_a_look_never_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a look reads a long file, the training and other looks go on."""
    loop, reading, go_on = Loop(5, 300), threading.Event(), threading.Event()
    read = training_alarms.read_run_file

    def read_slowly(*arguments: object) -> gradsound.Run:
        reading.set()
        assert go_on.wait(30)
        return read(*arguments)

    monkeypatch.setattr(training_alarms, "read_run_file", read_slowly)
    loop.train(10)
    first: list[tuple[gradsound.Alarm, ...]] = []
    thread = threading.Thread(target=lambda: first.append(loop.attachment.alarms))
    thread.start()
    assert reading.wait(30)
    loop.train(600)
    assert loop.attachment.alarms == ()  # not known yet
    go_on.set()
    thread.join()
    assert loop.attachment.alarms == later()
    assert [alarm.step for alarm in first[0]] == [5, 8, 300, 303]
    loop.attachment.close()


def test_thresholds_are_those_of_the_preset() -> None:
    """An alarm in Python is one in the sound: the preset's limits count."""
    limits = gradsound.Thresholds(plateau_steps=100)
    preset = replace(gradsound.PRESETS["notes"], thresholds=limits)
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, preset=preset) as attachment:
        for _ in range(400):
            attachment.log_values(loss=1.0)
            optimizer.step()
    assert attachment.alarms == later(plateau_steps=100) != later()


def test_budget_and_alarms_fit_together() -> None:
    """Steps that the budget leaves out have no alarms, and disturb none."""
    loop = Loop(*range(0, 4000, 4), budget=0.2)
    for _ in range(8):
        loop.train(500)
        assert all(alarm.step < loop.steps for alarm in loop.attachment.alarms)
    loop.attachment.close()
    assert loop.attachment.alarms == later()


def test_ranks(tmp_path: Path) -> None:
    """The rank that records has the alarms; other ranks have none and hear nothing."""
    code = """
    from torch.nn.parallel import DistributedDataParallel
    for ranks in ("first", "each"):
        ddp, heard = DistributedDataParallel(small()), []
        optimizer = sgd(ddp)
        with gradsound.attach(ddp, optimizer, ranks=ranks, on_alarm=heard.append) as one:
            for step in range(6):
                optimizer.zero_grad()
                (ddp(x).square().mean() * (torch.nan if step == 4 else 1)).backward()
                optimizer.step()
        print_line(ranks, rank, one.alarms == tuple(heard), [a.step for a in heard])
"""
    done = run_ranks(code, tmp_path)
    lines = sorted(line for line in done.stdout.splitlines() if "rue" in line)
    has, has_not = "True [4]", "True []"
    assert [line[-len(has) :].strip() for line in lines] == [has, has, has, has_not]
    assert lines[-1].startswith("first 1"), done.stderr


def test_the_documented_way_to_stop_all_ranks(tmp_path: Path) -> None:
    """A flag that all ranks share ends each of them at the same step; nothing hangs."""
    document = Path(__file__).parents[1] / "docs" / "recording.md"
    snippet = document.read_text().partition("<!-- all ranks -->\n```py\n")[2]
    snippet = snippet.partition("```")[0].strip()
    code = f"""
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel
    snippet = {snippet!r}
    for model in (DistributedDataParallel(small()), fully_shard(small())):
        optimizer = sgd(model)
        batches, steps = range(12), 0
        def train_step(batch):
            global steps
            steps += 1
            optimizer.zero_grad()
            (model(x).square().mean() * (torch.nan if batch == 4 else 1)).backward()
            optimizer.step()
            time.sleep(0.02)
        exec(snippet)
        print_line("steps", steps)
"""
    done = run_ranks(code, tmp_path)
    lines = sorted(line for line in done.stdout.splitlines() if line.startswith("steps"))
    assert done.returncode == 0, done.stderr
    assert len(lines) == 4
    counts = [int(line.split()[1]) for line in lines]
    assert counts[:2] + counts[2:] == sorted(counts)
    assert all(counts.count(count) % 2 == 0 for count in counts)  # on both ranks
    assert all(5 <= count < 12 for count in counts)
