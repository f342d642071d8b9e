"""The part of startup.py that is a training: starts one thing, and prints its seconds.

    python benchmarks/startup_trainer.py PART FOLDER [EXECUTABLE]

It runs in any build, and its seconds do not include the import of torch. EXECUTABLE runs
the worker processes in place of Python.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import torch

MARK = "the imports before are those of torch"
_LONGEST_SECONDS = 30.0
_model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
_optimizer = torch.optim.SGD(_model.parameters(), lr=0.1)


def step() -> None:
    """Trains one step."""
    _optimizer.zero_grad()
    _model(torch.ones(4, 3)).square().mean().backward()
    _optimizer.step()


def attach(folder: Path) -> float:
    """Returns the seconds of the import and of ``attach``."""
    begin = time.monotonic()
    import gradsound

    attachment = gradsound.attach(_model, _optimizer, log=folder / "run.jsonl")
    seconds = time.monotonic() - begin
    attachment.close()
    return seconds


def first_step(folder: Path) -> float:
    """Returns the seconds of the first step, which loads what measures."""
    import gradsound

    with gradsound.attach(_model, _optimizer, log=folder / "run.jsonl"):
        begin = time.monotonic()
        step()
        return time.monotonic() - begin


def file(folder: Path) -> float:
    """Returns the processor seconds of the process that writes the sound of one step.

    It has the lowest priority, so the clock would tell what else the machine does.
    """
    import gradsound

    with gradsound.attach(_model, _optimizer, log=None, wav=folder / "run.wav"):
        step()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def page(folder: Path) -> float:
    """Returns the seconds from ``listen`` until its page answers."""
    import gradsound

    begin = time.monotonic()
    with gradsound.listen(_model, _optimizer, log=folder / "run.jsonl", web=True) as run:
        while not answers(run.url):
            if time.monotonic() > begin + _LONGEST_SECONDS:
                raise TimeoutError("the page does not answer")
        return time.monotonic() - begin


def answers(url: str) -> bool:
    """Returns whether a page answers, perhaps after the start of its process."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname, address.port, timeout=_LONGEST_SECONDS)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def sound(folder: Path) -> float:
    """Returns the seconds from ``listen`` until the first block with sound is played."""
    import gradsound

    first = folder / "first"
    first.unlink(missing_ok=True)
    os.environ["FIRST_SOUND"] = str(first)
    begin = time.monotonic()
    with gradsound.listen(_model, _optimizer, log=folder / "run.jsonl"):
        step()
        while time.monotonic() < begin + _LONGEST_SECONDS:
            if first.exists() and (text := first.read_text()):
                return float(text) - begin
            time.sleep(0.005)
    raise TimeoutError("no sound came")


def main() -> None:
    """Prints the seconds of a part."""
    part, folder, *executable = sys.argv[1:]
    if executable:
        [sys.executable] = executable
    sys.stderr.write(f"{MARK}\n")
    print(globals()[part](Path(folder)))


if __name__ == "__main__":
    main()
