"""Values in a console line: `name value`, `name: value` or `name=value`."""

from __future__ import annotations

import re

from gradsound.logs.names.unread_norms import may_be_norm
from gradsound.logs.numbers import parse_number

_WORD = r"[\w./@%#()+&*-]*"  # the rest of a word in a name
_NUMBER = (
    r"[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?(?![\d,])|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+"
    r"(?:[eE][+-]?\d+)?|(?:nan|NaN|NAN)(?:\((?:ind|snan)\))?|inf(?:inity)?|Inf(?:inity)?|INF"
    r"|1\.#(?:INF|IND|QNAN|SNAN))"  # and as C writes them on Windows
)
# A number ends a word. Units of sizes and times follow at once: 3.3GiB, 12ms, 0:10.
_END = r"(?=[\"'\])]*(?:[\s,;|}\])]|/\s{0,20}\d|:\s|$))"
# A number may be in brackets or quotes, or printed by numpy 2 or torch: tensor(0.5).
_OPENING = r"(?:[\"'\[(]|np\.float\d+\(|tensor\(\[?){0,2}"
_VALUE = rf"{_OPENING}({_NUMBER})([kKMBGTP%]?){_END}"
_NO_WORD = r"(?!(?:[Nn]a[Nn]|NAN|[Ii]nf(?:inity)?|INF|None|null)\s)"  # the value before
# The sign tells where a long name ends; without one, a name has up to three words, of
# which none is the value before: loss nan grad_norm 2.
_PAIRS = re.compile(
    rf"(?<![\w./@%#+-]){_NO_WORD}(?:([A-Za-z_]{_WORD}(?:\s[A-Za-z_(]{_WORD}){{0,5}})[\"']?"
    rf"\s{{0,20}}[:=]\s{{0,20}}|([A-Za-z_]{_WORD}"
    rf"(?:\s{_NO_WORD}[A-Za-z_]{_WORD}){{0,2}})\s{{1,20}})"
    rf"{_VALUE}"
)
# A value that is no number: any word after a sign, else one that says that there is none.
_ABSENT = r"(?:None|null|[Nn]/[Aa]|undefined|<NA>|---?|\?)(?=[\s,;|}\])\"']|$)"
_UNREAD = re.compile(
    rf"(?<![\w./@%#+-])(?:(?P<signed>[A-Za-z_]{_WORD}(?:\s[A-Za-z_(]{_WORD}){{0,5}})[\"']?"
    rf"\s{{0,20}}[:=]\s{{0,20}}(?!{_VALUE})[\"']?(?P<word>[^\s,;|(){{}}\[\]\"']+)"
    rf"|(?P<plain>[A-Za-z_]{_WORD}(?:\s(?!{_ABSENT})[A-Za-z_]{_WORD}){{0,2}})"
    rf"\s{{1,20}}(?P<absent>{_ABSENT}))"
)
_FACTORS = {
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "B": 1e9,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "%": 1.0,
}
# Names of llm.c's main.log, of Lingua's and LeRobot's consoles, which say too little.
_ALIASES = {"trl": "loss", "tel": "val_loss", "grad": "grad_norm", "grdn": "grad_norm"}
_EPOCH = re.compile(r"(?:.*\s)?epoch(?:\(train\))?|Ep", re.IGNORECASE)
# Places in code, levels, devices, times that are left, and prose: "the norm was 2".
_NO_NAME = re.compile(
    r".*\.py|s|(?:DEBUG|INFO|WARNING)\b.*|cuda|eta|ETA"
    r"|.*\s(?:is|was|are|were|of|at|to|than|about|the|by|in|after)"
)
_NAMES_MAX = 10_000  # cached; a log with more has other text for names


class LineValues:
    """Reads the values of successive lines; keeps the names that it has seen."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._step: re.Pattern[str] | None = None

    def leave_out_step(self, word: str) -> None:
        """Leaves out the step from now on, which is no value.

        Args:
            word: What names the step, perhaps after other words.
        """
        word = re.escape(word).replace("_", "[ _-]")
        self._step = re.compile(rf"(?:.*\s)?(?<!per ){word}", re.IGNORECASE)
        self._names.clear()

    def read(self, text: str) -> dict[str, float]:
        """Returns the numbers in a text by name; leaves out what is no plain number."""
        values = {}
        for long, short, number, suffix in _PAIRS.findall(text):
            name = self._names.get((long, short))
            if name is None:
                name = self._clean(long, short)
            if not name:
                continue
            parsed = parse_number(number.replace(",", "") if "," in number else number)
            if parsed is None:
                continue
            values[name] = parsed
            if suffix:
                values[name] *= _FACTORS[suffix]
        return values

    def find_unread(self, text: str) -> dict[str, str]:
        """Returns the words in a text that stand for numbers of norms, by name."""
        unread = {}
        for match in _UNREAD.finditer(text):
            name = self._clean(match["signed"] or "", match["plain"] or "")
            if may_be_norm(name):
                unread[name] = match["word"] or match["absent"]
        return unread

    def _clean(self, long: str, short: str) -> str:
        """Returns a name as a log of numbers would have it; "" for what is no name."""
        name = re.sub(r"\.?\s+", " ", (long or short).strip()).rstrip(".(")
        if name.count("(") > name.count(")"):  # Arguments(name=1)
            name = name.rpartition("(")[2]
        name = _ALIASES.get(name, name)
        if _EPOCH.fullmatch(name):
            name = "epoch"
        if _NO_NAME.fullmatch(name) or (self._step and self._step.fullmatch(name)):
            name = ""
        if len(self._names) < _NAMES_MAX:
            self._names[long, short] = name
        return name
