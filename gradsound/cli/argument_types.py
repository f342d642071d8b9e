"""Types of arguments: what a text on the command line means as a path, step or count."""

from __future__ import annotations

import argparse
from pathlib import Path

_PORT_MAX = 65535


def file_path(text: str) -> Path:
    """Returns the path; an empty one is refused, because it means the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a file is empty")
    return Path(text)


def step_number(text: str) -> int:
    """Returns a step number as captions print it: 13912 or 13,912."""
    try:
        return int(text.replace(",", ""))
    except ValueError:
        message = f"must be a whole number, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def process_number(text: str) -> int:
    """Returns the number of a process, 1 or more."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(
            f"must be the number of a process, got {text!r}; 'pgrep -af python' lists them"
        )
    return int(text)


def osc_address(text: str) -> tuple[str, int]:
    """Returns the host and the port of HOST:PORT; an address of IPv6 is in brackets."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_clear = bare and (bare != host or ":" not in host)
    if not (is_clear and port.isdecimal() and 0 < int(port) <= _PORT_MAX):
        raise argparse.ArgumentTypeError(
            f"must be HOST:PORT, such as 127.0.0.1:57120, got {text!r}"
        )
    return bare, int(port)


def band_glob(text: str) -> tuple[str, str]:
    """Returns the name of a band and the glob of NAME=GLOB."""
    name, equals, glob = text.partition("=")
    if not (name and equals and glob):
        raise argparse.ArgumentTypeError(f"must be NAME=GLOB, got {text!r}")
    return name, glob


def row_count(text: str) -> int:
    """Returns a number of rows, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 on, got {text!r}")
    return int(text)
