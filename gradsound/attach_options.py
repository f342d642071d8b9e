"""Checks of the options of attach() that no other module checks."""

from __future__ import annotations

_STEP_MAX = 2**53  # the largest whole number that every JSON reader keeps exact


def check_options(
    comment: str, budget: float | None, ranks: str, start_step: int | None
) -> None:
    """Checks options of `gradsound.attach`.

    Raises:
        TypeError: If the comment is no text.
        ValueError: If another option is out of range.
    """
    if not isinstance(comment, str):
        raise TypeError(f"comment must be a text, got {comment!r}")
    if budget is not None and not 0 < budget < 1:
        raise ValueError(
            f"budget must be a share of time between 0 and 1, such as 0.01, got {budget!r}"
        )
    if ranks not in ("first", "each"):
        raise ValueError(f"ranks must be 'first' or 'each', got {ranks!r}")
    if start_step is None:
        return
    if type(start_step) is not int or not 0 <= start_step <= _STEP_MAX:
        raise ValueError(
            f"start_step must be a whole number of 0 or more, got {start_step!r}"
        )
