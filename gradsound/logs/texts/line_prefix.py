"""The prefix of a console line: its rank, and the time when it was logged."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_SEARCHED = 240  # characters of a line; a prefix is shorter

COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # and other commands to a terminal
# torchtitan, torchrun, srun or pdsh, mpirun, Ray, DeepSpeed, kubectl.
_RANK = re.compile(
    r"\[(?:rank|default)(?P<torch>\d{1,9})\]: ?|\s*(?P<srun>\d{1,5}): "
    r"|\[\d+,(?P<mpi>\d{1,9})\]<std(?:out|err)>: ?|\((?:\w+ )?pid=(?P<pid>\d{1,9})[^)]*\) ?"
    r"|[a-z][\w.]*-(?P<host>\d{1,9}): |\[pod/[\w.-]*?-(?P<pod>\d{1,9})/[\w.-]*\] "
)
_INNER_RANK = re.compile(r"\b(?:rank|RANK|Rank)[ =:-]{0,2}(\d{1,9})\b")
_CLOCK = r"(?P<clock>\d\d:\d\d:\d\d)(?P<fraction>[.,]\d{1,9})?(?P<zone>Z|[+-]\d\d:?\d\d)?"
_TIME = re.compile(
    r"(?<![\w.])(?:I?(?P<year>\d{4})[-/]?(?P<month>\d\d)[-/]?(?P<day>\d\d)"
    r"|(?P<first>\d\d)/(?P<second>\d\d)/(?P<last_year>\d{4})"
    rf"|(?P<short_year>\d\d)-(?P<short_month>\d\d)-(?P<short_day>\d\d))[T ,]{{1,2}}{_CLOCK}"
    r"|(?<![\w.:])(?P<alone>\d\d:\d\d:\d\d)(?P<alone_fraction>[.,]\d{1,9})?(?![\d:<])"
)
# Brackets, times, levels and loggers before the text. A bracket with a number of a step,
# such as [step=1/10] or [10/100], or with a value, such as [loss 0.5], belongs to the text.
_BEFORE_TEXT = re.compile(
    r"(?:\s*(?:\[(?![^\]]*(?:(?<![\w|])[\w ]+=\s*\d|\d\s*/\s*\d+\s*\]"
    r"|(?i:loss|norm)\b))[^\[\]]*\]:?"
    r"|(?:TRACE|DEBUG|INFO|NOTICE|SUCCESS|WARNING|WARN|ERROR)\b:?|\|(?=\s)|-(?=\s)"
    r"|[\w.]+(?=(?: - | \| )(?:[\w.]+ (?:-|\|) )*(?:DEBUG|INFO|WARNING)\b)"
    r"|I?\d{2,4}[-/]?\d\d[-/]?\d{2,4}[T ,]{1,2}[\d:.,]+(?:Z|[+-]\d\d:?\d\d)?"
    r"|\(\w+:\d+\)|[\w.<>]+:[\w<>]+:\d+(?=\s-)|\d\d:\d\d:\d\d[.,]?\d*(?![\d:<])))+\s*"
)


class LinePrefix:
    """Reads the prefixes of successive lines. A time of day without a date grows, too."""

    def __init__(self) -> None:
        self._day, self._last = 0, -1.0  # of times without a date
        self._cached = "", 0.0  # a date with its seconds since 1970

    def split_rank(self, line: str) -> tuple[int | None, str]:
        """Returns the rank of a line, None if unknown, and the line without it."""
        if match := _RANK.match(line):
            rank = int(match[match.lastgroup or 0])
            return rank, line[match.end() :]
        if "ank" not in line and "ANK" not in line:
            return None, line
        inner = _INNER_RANK.search(line, 0, _SEARCHED)
        return (int(inner[1]) if inner else None), line

    def time(self, line: str) -> float | None:
        """Returns when a line was logged, in seconds since 1970 or since midnight.

        A time without a zone counts as UTC.
        """
        match = _TIME.search(line, 0, _SEARCHED)
        if match is None:
            return None
        if match["alone"]:
            return self._time_of_day(match)
        key = match[0]
        fraction = match["fraction"] or ""
        whole = key.replace(fraction, "", 1) if fraction else key
        if self._cached[0] != whole:
            seconds = _seconds(match)
            if seconds is None:
                return None
            self._cached = whole, seconds
        return self._cached[1] + _fraction(fraction)

    def _time_of_day(self, match: re.Match[str]) -> float | None:
        hours, minutes, seconds = map(int, match["alone"].split(":"))
        if hours > 23 or minutes > 59 or seconds > 60:
            return None
        time = 3600.0 * hours + 60 * minutes + seconds + _fraction(match["alone_fraction"])
        if time < self._last - 43_200:  # lines of several processes swap by less
            self._day += 1
        self._last = time
        return 86_400 * self._day + time


def text_start(line: str) -> int:
    """Returns where the text of a line begins, after brackets, times and levels."""
    match = _BEFORE_TEXT.match(line, 0, _SEARCHED)
    return match.end() if match else 0


def _fraction(text: str | None) -> float:
    return float(f"0.{text[1:]}") if text else 0.0


def _seconds(match: re.Match[str]) -> float | None:
    """Returns the seconds since 1970 of a date with a time; None if there is no such date.

    01/02/2026 is in January, unless the first number is no month.
    """
    if match["year"]:
        date = match["year"], match["month"], match["day"]
    elif match["last_year"]:
        first, second = match["first"], match["second"]
        if int(first) > 12:
            first, second = second, first
        date = match["last_year"], first, second
    else:
        date = f"20{match['short_year']}", match["short_month"], match["short_day"]
    zone = match["zone"] or ""
    try:
        moment = datetime.fromisoformat(f"{'-'.join(date)}T{match['clock']}")
    except ValueError:
        return None
    offset = timedelta()
    if zone not in ("", "Z"):
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        offset = -offset if zone[0] == "-" else offset
    return (moment.replace(tzinfo=timezone.utc) - offset).timestamp()
