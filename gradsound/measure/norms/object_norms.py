"""Norms of gradients that machine code finds by itself, for the extra ``jit``.

In a training loop, the code of Python and of torch has left the caches when a monitor
measures. So each call for a gradient costs a multiple of the time for reading a small one.
This module compiles one function instead. It follows references to parameters, parameters
to gradients and gradients to their numbers. Torch tells where these are by the exchange API
of DLPack, a table of C functions. Shapes: P parameters.
"""

from __future__ import annotations

import ctypes
import re
import sys
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.llvm import compile_object, load_functions
from gradsound.measure.norms import machine_code, square_sums
from gradsound.measure.norms.builtin_function import Memory, make_builtin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_WITHOUT_GRADIENT, _UNREADABLE = 1, 2  # states of a gradient; 0 if its norm is read

_ONE_THREAD_MAX = 2**20  # elements; several threads of torch read a larger gradient faster
# Of OpenMP, as torch's library on Linux has it: starts threads, and tells a thread how many
# there may be, how many there are, and which one it is.
_OPENMP = {
    "PARALLEL": "GOMP_parallel",
    "MOST_THREADS": "omp_get_max_threads",
    "THREAD_COUNT": "omp_get_num_threads",
    "THREAD_NUMBER": "omp_get_thread_num",
}
# Of DLPack: its major version; the place of dltensor_from_py_object_no_sync in the table;
# the code of memory of the host; those of the type of float32 (kind, bits, lanes).
_VERSION, _DESCRIBE_AT = 1, 40
_BLOCK = 2**14  # norms whose memory is allocated at once
# Of the C library and Python's API.
_PYTHON = {
    "GET_ATTRIBUTE": "PyObject_GetAttr",
    "GET_TYPE": "PyObject_Type",
    "INCREASE": "Py_IncRef",
    "DECREASE": "Py_DecRef",
    "CLEAR_ERROR": "PyErr_Clear",
    "MEMORY": "PyByteArray_AsString",
    "NEW_BOOL": "PyBool_FromLong",
    "TUPLE_SIZE": "PyTuple_Size",
    "TUPLE_ITEM": "PyTuple_GetItem",
    "DICT_SIZE": "PyDict_Size",
    "DICT_ITEM": "PyDict_GetItem",
    "LIST_SIZE": "PyList_Size",
    "LIST_ITEM": "PyList_GetItem",
    "CALL": "PyObject_CallFunctionObjArgs",
    "CLOCK": "clock_gettime",
}
_CPU, _FLOAT32 = 1, 2 | 32 << 8 | 1 << 16


class ObjectNorms:
    """Reads the L2 norms of the same parameters' gradients again and again.

    It reads dense float32 gradients in host memory, with as many threads as torch. Where it
    cannot use several threads, as torch would, it leaves gradients of more than a million
    elements to torch.

    Args:
        count: P, the number of parameters.

    Attributes:
        parameters: Those of the last `set_parameters`.
        rows: Norms by the last calls, shape (any, P), 0 where they read none.
        read: Reads the gradients to the next row; returns whether any became another kind.
            Call `make_room` before.
        request_address: Address of what the machine code is given.

    Raises:
        ImportError: If torch has no exchange API of a known version (2.10 has one).
        RuntimeError: If LLVM cannot compile for this processor.
    """

    def __init__(self, count: int) -> None:
        self.parameters: Sequence[object] = ()  # alive, as the table has their addresses
        self._table, self._states = np.zeros(count, np.int64), np.full(count, 255, np.uint8)
        # What the machine code is given: to ask an array for its address at each call takes
        # longer than to read a small gradient.
        memory = Memory(ctypes.sizeof(_Request))
        memory.kept = self._table, self._states
        self._request = _Request.from_buffer(memory)
        self._request.table, self._request.count = self._table.ctypes.data, count
        several = openmp() or torch.get_num_threads() == 1
        self._request.largest = sys.maxsize if several else _ONE_THREAD_MAX
        self._request.states, self._request.row = self._states.ctypes.data, -1
        self.request_address = ctypes.addressof(self._request)
        self.read = make_builtin("read", functions()[0], memory, takes_none=True)
        self.rows = np.zeros((0, count))

    def set_gradients(self, gradients: Sequence[torch.Tensor | None]) -> None:
        """Chooses what the next `read` reads: these gradients, length P."""
        self.parameters = ()
        self._table[:] = [*map(id, gradients)]
        self._request.attribute = 0

    def set_parameters(self, parameters: Sequence[object]) -> None:
        """Chooses what each `read` reads from now on: the gradients of these parameters.

        Args:
            parameters: Weak references, length P; any other object stands for a parameter
                without a gradient.
        """
        self.parameters = parameters
        self._table[:] = [isinstance(one, weakref.ref) and id(one) for one in parameters]
        self._request.attribute = id(_GRAD)

    @property
    def row(self) -> int:
        """Index of the last call. Its row is never changed."""
        return int(self._request.row)

    def make_room(self) -> int:
        """Returns how many rows there are for the next calls, at least one."""
        left = len(self.rows) - 1 - self.row
        if not left:  # to make room at each step takes longer
            count = len(self._table)
            self.rows = np.zeros((left := 1 + _BLOCK // max(count, 1), count))
            self._request.norms, self._request.row = self.rows.ctypes.data, -1
        return left

    def without_gradient(self) -> NDArray[np.bool_]:
        """Returns which parameters have no gradient, shape (P,)."""
        absent: NDArray[np.bool_] = self._states == _WITHOUT_GRADIENT
        return absent

    def unreadable(self) -> NDArray[np.intp]:
        """Returns the indices of gradients that are of another kind."""
        return np.flatnonzero(self._states == _UNREADABLE)


class _Request(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("table", "count", "attribute", "largest", "norms", "states", "row")
    ]


_GRAD, _GROUPS, _PARAMETERS = map(sys.intern, ("grad", "param_groups", "params"))


@lru_cache(maxsize=1)
def functions() -> list[int]:
    """Returns the addresses of the functions that read norms, and that measure a step.

    They hold the lock of the interpreter.
    """
    get_ref = getattr(ctypes.pythonapi, "PyWeakref_GetRef", None)
    library = ctypes.CDLL(None)  # has Python's API too
    addresses = {
        "NONE": id(None),
        "TENSOR": id(torch.Tensor),
        "GROUPS": id(_GROUPS),
        "PARAMETERS": id(_PARAMETERS),
        "DEREFERENCE": _address(get_ref or ctypes.pythonapi.PyWeakref_GetObject),
        "DESCRIBE": _exchange_function(),
    }
    addresses |= {word: _address(getattr(library, name)) for word, name in _PYTHON.items()}
    addresses |= openmp()
    words = {name: f"inttoptr (i64 {one} to ptr)" for name, one in addresses.items()}
    words |= {"CPU": str(_CPU), "FLOAT32": str(_FLOAT32)}
    dereference = machine_code.DEREFERENCE if get_ref else machine_code.DEREFERENCE_BORROWED
    all_squares = square_sums.THREADS if openmp() else square_sums.ONE_THREAD
    finding = machine_code.NORMS, machine_code.DENSE_SIZE, dereference
    entries = machine_code.READ, machine_code.REPEATED_STEP, machine_code.HOLDS
    parts = *finding, *entries, square_sums.NORM, square_sums.SQUARES, all_squares
    code = re.sub(r"\b[A-Z][A-Z_0-9]+\b", lambda word: words[word.group()], "".join(parts))
    return load_functions(compile_object(code), ["gradsound_read", "gradsound_step"])


@lru_cache(maxsize=1)
def openmp() -> dict[str, int]:
    """Returns the addresses of OpenMP's functions; none if torch has another OpenMP."""
    functions = ctypes.CDLL(None)  # torch makes its library visible to all others
    try:
        return {key: _address(getattr(functions, name)) for key, name in _OPENMP.items()}
    except AttributeError:
        return {}


def _exchange_function() -> int:
    """Returns the address of torch's function that describes a tensor, without a sync.

    Raises:
        ImportError: If torch has none of a known version.
    """
    capsule = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
    if capsule is None:
        raise ImportError("torch before 2.10 has no exchange API of DLPack")
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = (
        ctypes.c_void_p,
        [ctypes.py_object, ctypes.c_char_p],
    )
    table = get_pointer(capsule, b"dlpack_exchange_api")
    if (version := ctypes.c_uint32.from_address(table).value) != _VERSION:
        raise ImportError(f"torch has version {version} of DLPack's exchange API")
    if not (describe := ctypes.c_void_p.from_address(table + _DESCRIBE_AT).value):
        raise ImportError("torch describes no tensors by DLPack's exchange API")
    return describe


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]
