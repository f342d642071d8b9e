"""The traced value: a stand-in for a number, which records the operations of a voice.

Operators, methods and the functions of torch and numpy accept a `TracedValue`, because it
implements the protocols of both libraries. This module imports neither of them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from gradsound.errors import VoiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradsound.synth.voices.program import Operation

_MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_UNARY = ("neg", "pos", "abs", "invert")
_OPERATORS = (*_BINARY, *_COMPARISONS, *_UNARY, "div", "rsub", "rdiv")  # written as signs
_BOOLEAN = ("lt", "le", "eq", "and", "or", "not")  # operations whose result is a bool


class Tape:
    """The operations of a voice, in the order in which tracing records them.

    Args:
        inputs: Names of the first values.
        functions: The functions that a voice may use, by their names in torch and numpy.
        max_operations: How many operations a voice may have.
    """

    def __init__(
        self,
        inputs: tuple[str, ...],
        functions: Mapping[str, Callable[..., Any]],
        max_operations: int,
    ) -> None:
        self.operations: list[Operation] = []
        self._functions, self._max_operations = functions, max_operations
        self._first = len(inputs)
        self._known: dict[str, int] = {}
        self.values = {name: TracedValue(self, k) for k, name in enumerate(inputs)}

    def emit(self, name: str, *arguments: TracedValue | float) -> TracedValue:
        """Records an operation, unless it is recorded already; returns its value."""
        if name not in ("and", "or", "not"):
            first = int(name == "select")  # its first argument stays a bool
            arguments = (*arguments[:first], *map(to_number, arguments[first:]))
        if name in ("add", "mul") and not isinstance(arguments[0], TracedValue):
            arguments = arguments[::-1]  # constants come second
        operation: Operation = (
            name,
            *(a.index if isinstance(a, TracedValue) else _float32(a) for a in arguments),
        )
        key = repr(operation)  # == holds between the value 1 and the constant 1.0
        if key not in self._known:
            if len(self.operations) == self._max_operations:
                limit = f"more than {self._max_operations} operations"
                raise VoiceError(f"it takes {limit}: make it shorter")
            self._known[key] = self._first + len(self.operations)
            self.operations.append(operation)
        return TracedValue(self, self._known[key], is_bool=name in _BOOLEAN)

    def source(self, value: TracedValue) -> Operation | None:
        """Returns the operation that made a value; None for an input."""
        number = value.index - self._first
        return None if number < 0 else self.operations[number]

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Records a call of a function of torch or numpy; returns its result.

        Raises:
            VoiceError: If a voice may not use the function, or not with these arguments.
        """
        if name.startswith("__"):
            name = name.strip("_")
        self.check(name)
        in_place = options.pop("inplace", False)
        plain = [self._plain(name, argument) for argument in arguments]
        plain_options = {
            key: self._plain(name, option)
            for key, option in options.items()
            if option is not None and option is not False  # dtype=None and the like
        }
        try:
            result = self._functions[name](*plain, **plain_options)
        except TypeError as error:
            raise VoiceError(f"{name} cannot be compiled with these arguments") from error
        return arguments[0].become(result) if in_place else result

    def check(self, name: str) -> None:
        """Raises VoiceError if a voice may not use the function of that name."""
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
        """Returns an argument as a value of this tape, a constant or None."""
        if isinstance(argument, TracedValue):
            if argument.tape is not self:
                raise VoiceError("it keeps a value of an earlier call: remove its state")
            return argument
        if argument is None or isinstance(argument, (int, float)):
            return argument
        try:
            return float(argument.item())  # a scalar of numpy, a tensor of one element
        except (AttributeError, TypeError, ValueError, RuntimeError):
            shape = getattr(argument, "shape", None)
        if shape is None:
            kind = type(argument).__name__
            raise VoiceError(f"{name} accepts real numbers only, got {kind}")
        raise VoiceError(
            f"{name} got an argument of shape {tuple(shape)}: a voice computes one number "
            "at a time, so take the elements one by one"
        )


class TracedValue:
    """A number or a bool that is unknown while its voice is traced.

    Args:
        tape: The tape that records its operations.
        index: Number of the value in the program.
        is_bool: Whether it is a bool.
    """

    def __init__(self, tape: Tape, index: int, *, is_bool: bool = False) -> None:
        self.tape, self.index, self.is_bool = tape, index, is_bool

    @classmethod
    def __torch_function__(
        cls, function: Any, _: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Records a function of torch; torch calls this instead of the function."""
        options = options or {}
        tape = _tape_of((*arguments, *options.values()))
        return tape.call(function.__name__, *arguments, **options)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *arguments: Any, **options: Any
    ) -> Any:
        """Records a ufunc of numpy; numpy calls this instead of the ufunc."""
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return self.tape.call(name, *arguments, **options)

    def __array_function__(
        self, function: Any, _: Any, arguments: Any, options: Any
    ) -> Any:
        """Records another function of numpy; numpy calls this instead of the function."""
        return self.tape.call(function.__name__, *arguments, **options)

    def become(self, other: Any) -> TracedValue:
        """Takes the place of another value, as a tensor does that changes in place."""
        self.index, self.is_bool = other.index, other.is_bool
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.tape.check(name)
        return partial(self.tape.call, name, self)

    def _refuse_branch(self, *_: Any) -> NoReturn:
        raise VoiceError(
            "it branches on a value that changes with every sample: write "
            "torch.where(condition, a, b) or numpy.where instead of if, and, or, not, min, "
            "max and loops over values"
        )

    __bool__ = __len__ = __iter__ = __contains__ = _refuse_branch
    __getitem__ = __setitem__ = _refuse_branch

    def _refuse_number(self, *_: Any) -> NoReturn:
        raise VoiceError(
            "it makes a plain number of a value that changes with every sample (by "
            "float(), int(), .item() or the math module): use functions of torch or numpy"
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = item = _refuse_number
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
for _name in _COMPARISONS:
    setattr(TracedValue, f"__{_name}__", _operator(_name))
for _name in _UNARY:
    setattr(
        TracedValue, f"__{_name}__", lambda self, name=_name: self.tape.call(name, self)
    )


def _float32(constant: float) -> float:
    """Returns a constant that float32 can hold; raises VoiceError for others and NaN."""
    if math.isnan(constant) or _MAX_FLOAT32 < abs(constant) < math.inf:
        raise VoiceError(f"float32 cannot hold the constant {constant}")
    return float(constant)


def to_number(value: Any) -> Any:
    """Returns 1 or 0 for a bool, and a number as it is."""
    if isinstance(value, TracedValue) and value.is_bool:
        return value.tape.emit("select", value, 1.0, 0.0)
    return value


def emit(name: str, *arguments: TracedValue | float) -> Any:
    """Records an operation on the tape of its arguments, one of which is a TracedValue."""
    return _tape_of(arguments).emit(name, *arguments)


def _tape_of(arguments: tuple[Any, ...]) -> Tape:
    for argument in arguments:
        if isinstance(argument, TracedValue):
            return argument.tape
        if isinstance(argument, (tuple, list)) and argument:  # torch.stack and the like
            values = [one for one in argument if isinstance(one, TracedValue)]
            if values:
                return values[0].tape
    raise AssertionError("called without a value")
