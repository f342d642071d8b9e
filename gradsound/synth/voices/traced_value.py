"""What stands for the numbers of a voice while it is traced, and notes what it becomes.

A `TracedValue` goes through operators, torch's functions, numpy's and methods alike, by the
protocols that these two have for it; neither is imported.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from gradsound.errors import VoiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradsound.synth.voices.program import Operation

MOST = 1000  # operations of a voice; that many are compiled in a tenth of a second
_LARGEST = (2 - 2**-23) * 2.0**127  # that float32 has
_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
_COMPARING = ("lt", "le", "gt", "ge", "eq", "ne")
_UNARY = ("neg", "pos", "abs", "invert")
_OPERATORS = (*_BINARY, *_COMPARING, *_UNARY, "div", "rsub", "rdiv")  # written as signs
_LOGICAL = ("lt", "le", "eq", "and", "or", "not")  # what makes truths, not numbers


class Tape:
    """The operations of a voice so far.

    Args:
        inputs: Names of the first values.
        functions: What a voice may use, by the name that it has in torch or numpy.
    """

    def __init__(
        self, inputs: tuple[str, ...], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.operations: list[Operation] = []
        self._functions = functions
        self._first = len(inputs)
        self._known: dict[str, int] = {}
        self.values = {name: TracedValue(self, k) for k, name in enumerate(inputs)}

    def emit(self, name: str, *arguments: TracedValue | float) -> TracedValue:
        """Notes an operation, or finds it if it was noted before."""
        if name not in ("and", "or", "not"):
            first = int(name == "select")  # its first argument is a truth
            arguments = (*arguments[:first], *map(number, arguments[first:]))
        if name in ("add", "mul") and not isinstance(arguments[0], TracedValue):
            arguments = arguments[::-1]  # constants come second
        operation: Operation = (
            name,
            *(a.index if isinstance(a, TracedValue) else _single(a) for a in arguments),
        )
        key = repr(operation)  # the value 1 and the constant 1.0 are equal to Python
        if key not in self._known:
            if len(self.operations) == MOST:
                raise VoiceError(f"it takes more than {MOST} operations: make it shorter")
            self._known[key] = self._first + len(self.operations)
            self.operations.append(operation)
        return TracedValue(self, self._known[key], truth=name in _LOGICAL)

    def source(self, value: TracedValue) -> Operation | None:
        """The operation that made a value; None of an input."""
        found = value.index - self._first
        return None if found < 0 else self.operations[found]

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Notes what a function of torch or numpy does.

        Raises:
            VoiceError: If it is not among those that a voice may use.
        """
        if name.startswith("__"):
            name = name.strip("_")
        self.check(name)
        in_place = options.pop("inplace", False)
        given = [self._plain(name, argument) for argument in arguments]
        named = {
            key: self._plain(name, option)
            for key, option in options.items()
            if option is not None and option is not False  # dtype=None and the like
        }
        try:
            result = self._functions[name](*given, **named)
        except TypeError as error:
            raise VoiceError(f"{name} cannot be compiled with these arguments") from error
        return arguments[0].become(result) if in_place else result

    def check(self, name: str) -> None:
        """Raises VoiceError if a voice may not use a function of that name."""
        if name not in self._functions:
            first = {
                function: name for name, function in reversed([*self._functions.items()])
            }
            names = sorted(name for name in first.values() if name not in _OPERATORS)
            raise VoiceError(
                f"{name} cannot be compiled; write it with + - * / // % ** < <= > >= == != "
                f"& | ^ ~, {', '.join(names)}"
            )

    def _plain(self, name: str, argument: Any) -> TracedValue | float | None:
        """A value of this tape, or a constant."""
        if isinstance(argument, TracedValue):
            if argument.tape is not self:
                raise VoiceError(
                    "it keeps a value of an earlier call: it must not have state"
                )
            return argument
        if argument is None or isinstance(argument, (int, float)):
            return argument
        try:
            return float(argument.item())  # a scalar of numpy, a tensor of one element
        except (AttributeError, TypeError, ValueError, RuntimeError):
            shape = getattr(argument, "shape", None)
        if shape is None:
            kind = type(argument).__name__
            raise VoiceError(f"{name} is given {kind}, which is no real number")
        raise VoiceError(
            f"{name} is given shape {tuple(shape)}: a voice computes one number at a time, "
            "so take the elements one by one"
        )


class TracedValue:
    """A number, or a truth, of which nothing is known but how it is made."""

    def __init__(self, tape: Tape, index: int, *, truth: bool = False) -> None:
        self.tape, self.index, self.truth = tape, index, truth

    @classmethod
    def __torch_function__(
        cls, function: Any, _: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """What torch calls instead of a function of its own."""
        options = options or {}
        tape = _tape_of((*arguments, *options.values()))
        return tape.call(function.__name__, *arguments, **options)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *arguments: Any, **options: Any
    ) -> Any:
        """What numpy calls instead of one of its ufuncs."""
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return self.tape.call(name, *arguments, **options)

    def __array_function__(
        self, function: Any, _: Any, arguments: Any, options: Any
    ) -> Any:
        """What numpy calls instead of one of its other functions."""
        return self.tape.call(function.__name__, *arguments, **options)

    def become(self, other: Any) -> TracedValue:
        """Takes the place of another value, as a tensor does that is changed in place."""
        self.index, self.truth = other.index, other.truth
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.tape.check(name)
        return partial(self.tape.call, name, self)

    def _decided(self, *_: Any) -> NoReturn:
        raise VoiceError(
            "what it does depends on a value that changes with every sample: write "
            "torch.where(condition, a, b) or numpy.where instead of if, and, or, not, min, "
            "max and loops over values"
        )

    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __setitem__ = _decided

    def _known(self, *_: Any) -> NoReturn:
        raise VoiceError(
            "a plain number is made of a value that changes with every sample (by float(), "
            "int(), .item() or the math module): use the functions of torch or numpy"
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = item = _known
    __hash__ = object.__hash__


def _operator(name: str) -> Callable[[TracedValue, Any], Any]:
    return lambda self, other: self.tape.call(name, self, other)


def _in_place(name: str) -> Callable[[TracedValue, Any], Any]:
    return lambda self, other: self.become(self.tape.call(name, self, other))


def _reflected(name: str) -> Callable[[TracedValue, Any], Any]:
    return lambda self, other: self.tape.call(name, other, self)


for _name in _BINARY:
    setattr(TracedValue, f"__{_name}__", _operator(_name))
    setattr(TracedValue, f"__r{_name}__", _reflected(_name))
    setattr(TracedValue, f"__i{_name}__", _in_place(_name))
for _name in _COMPARING:
    setattr(TracedValue, f"__{_name}__", _operator(_name))
for _name in _UNARY:
    setattr(
        TracedValue, f"__{_name}__", lambda self, name=_name: self.tape.call(name, self)
    )


def _single(constant: float) -> float:
    """A constant, once it is one in float32 too; infinity is."""
    if math.isnan(constant) or _LARGEST < abs(constant) < math.inf:
        raise VoiceError(f"the constant {constant} is none that float32 has")
    return float(constant)


def number(value: Any) -> Any:
    """A truth as 1 or 0; a number as it is."""
    if isinstance(value, TracedValue) and value.truth:
        return value.tape.emit("select", value, 1.0, 0.0)
    return value


def emit(name: str, *arguments: TracedValue | float) -> Any:
    """Notes an operation on values, of which there must be one."""
    return _tape_of(arguments).emit(name, *arguments)


def _tape_of(arguments: tuple[Any, ...]) -> Tape:
    for argument in arguments:
        if isinstance(argument, TracedValue):
            return argument.tape
        if isinstance(argument, (tuple, list)) and argument:  # torch.stack and the like
            with_values = [one for one in argument if isinstance(one, TracedValue)]
            if with_values:
                return with_values[0].tape
    raise AssertionError("called without a value")
