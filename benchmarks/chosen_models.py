"""The models that a benchmark measures: those that its command line names, or some."""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from machine import check_choices, machine, threads
from models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NO_FLAGS: Mapping[str, str] = {}
THREADS = 1  # of two cores; the other is for processes and threads of the tools


@contextmanager
def chosen_models(
    purpose: str, models: Sequence[str], rounds: int, flags: Mapping[str, str] = NO_FLAGS
) -> Iterator[argparse.Namespace]:
    """Yields the arguments ``models`` and ``rounds``, in a temporary folder.

    It prints the machine first.

    Args:
        purpose: What the benchmark measures, for its help.
        models: Names of the models, unless the command line has others.
        rounds: How many rounds, unless the command line has another number.
        flags: Further options, with what each does.
    """
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("models", nargs="*", default=[*models], metavar="model")
    parser.add_argument("--rounds", type=int, default=rounds)
    for flag, effect in flags.items():
        parser.add_argument(flag, action="store_true", help=effect)
    arguments = parser.parse_args()
    check_choices(parser, "model", arguments.models, MODELS)
    torch.set_num_threads(THREADS)
    print(machine(threads()))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        yield arguments
        os.chdir("/")
