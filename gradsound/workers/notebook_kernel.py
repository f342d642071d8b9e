"""Finds the notebook that runs this code: the kernel of Jupyter's, or marimo."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any


def in_notebook() -> bool:
    """Returns whether a notebook runs this code: a kernel of Jupyter's, or marimo."""
    return find_kernel() is not None or find_marimo() is not None


def has_widgets() -> bool:
    """Returns whether anywidget is installed."""
    return find_spec("anywidget") is not None


def find_kernel() -> Any:
    """Returns the kernel of Jupyter's that runs this code; None without one."""
    if (ipython := sys.modules.get("IPython")) is None:
        return None
    return getattr(ipython.get_ipython(), "kernel", None)


def find_marimo() -> Any:
    """Returns marimo if one of its notebooks runs this code, else None."""
    marimo = sys.modules.get("marimo")
    return marimo if marimo is not None and marimo.running_in_notebook() else None
