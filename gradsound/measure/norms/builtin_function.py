"""Functions of machine code that Python and torch call as fast as their own C functions."""

from __future__ import annotations

import ctypes
from typing import Any

_NO_ARGUMENTS, _VECTOR = 0x4, 0x80  # METH_NOARGS, METH_FASTCALL


class Memory(bytearray):
    """Memory that a function works on, and what its addresses there refer to.

    A built-in function keeps its memory alive, and the memory keeps ``kept``.

    Attributes:
        kept: Objects whose addresses are in the memory.
    """

    kept: tuple[object, ...] = ()


def make_builtin(name: str, address: int, memory: Memory, *, takes_none: bool) -> Any:
    """Returns a built-in function of Python whose body is machine code.

    Its first argument in C is the memory. The others are nothing, or an array of Python
    objects and their number.

    Args:
        name: Name of the function.
        address: Address of the machine code. It returns a Python object, and raises nothing
            by itself.
        memory: What the function works on.
        takes_none: Whether callers give no argument.
    """
    definition = _definition(name, address, _NO_ARGUMENTS if takes_none else _VECTOR)
    return _new_function(ctypes.addressof(definition), memory, None)


class _Definition(ctypes.Structure):  # PyMethodDef
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    ]


_definitions: dict[tuple[str, int], _Definition] = {}  # functions refer to them for good


def _definition(name: str, address: int, flags: int) -> _Definition:
    key = name, address
    if key not in _definitions:
        _definitions[key] = _Definition(name.encode(), address, flags, None)
    return _definitions[key]


_new_function = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object
)(("PyCFunction_NewEx", ctypes.pythonapi))
