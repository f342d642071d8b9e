"""The names of signals, and the check of those that a user asks for."""

from __future__ import annotations

from collections.abc import Collection

from gradsound.name_matching import describe_unknown

UPDATE_RATIO, SNR, ZEROS = SIGNAL_NAMES = "update_ratio", "snr", "zeros"


def check_signals(signals: str | Collection[str]) -> tuple[str, ...]:
    """Returns the names of signals, each once, in their usual order.

    Args:
        signals: One name, or several.

    Raises:
        TypeError: If it is no text, and has something else than texts.
        ValueError: If there is no signal with one of the names.
    """
    names = (signals,) if isinstance(signals, str) else signals
    if not (isinstance(names, Collection) and all(isinstance(n, str) for n in names)):
        raise TypeError(f"signals must be names, such as ('snr', 'zeros'), got {signals!r}")
    for name in names:
        if name not in SIGNAL_NAMES:
            raise ValueError(describe_unknown("signal", name, SIGNAL_NAMES))
    return tuple(name for name in SIGNAL_NAMES if name in names)


def check_signal_support(
    signals: Collection[str], *, engine: bool, each_rank: bool, sharded: bool
) -> None:
    """Checks that signals can be measured right.

    Args:
        signals: Their names.
        engine: Whether an engine of DeepSpeed has the optimizer.
        each_rank: Whether each of several ranks measures its own gradients.
        sharded: Whether the parameters of the model are divided among ranks.

    Raises:
        ValueError: If they cannot.
    """
    if not signals:
        return
    got = f"signals must be empty {{}}, got {signals!r}: {{}}"
    if engine:
        raise ValueError(
            got.format("with DeepSpeed", "its engine keeps weights and moments to itself")
        )
    if each_rank:
        raise ValueError(
            got.format(
                "with ranks='each'", "a step applies the gradients of all ranks together"
            )
        )
    if sharded:
        raise ValueError(
            got.format("for a sharded model", "no rank has the weights of whole layers")
        )
