"""A WebAssembly module, made of the object file that LLVM writes for WebAssembly.

The object waits for a linker: it has no exports, and custom sections for that linker. Our
kernels call nothing and have no data, so nothing in them is left to link. The format is
that of the WebAssembly Core Specification, chapter 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HEADER = b"\0asm\1\0\0\0"
_CUSTOM, _TYPE, _IMPORT, _FUNCTION, _EXPORT, _CODE = 0, 1, 2, 3, 7, 10  # kinds of sections
_FUNCTION_KIND, _MEMORY_KIND = b"\0", b"\2"  # kinds of imports and exports
_ANY_SIZE = b"\0\0"  # limits of a memory: no maximum, and at least 0 pages
_LLVMS_MEMORY = b"\3env\x0f__linear_memory" + _MEMORY_KIND + _ANY_SIZE


def to_wasm_module(object_file: bytes, names: Sequence[str]) -> bytes:
    """Returns a module that imports ``env.memory`` and exports functions.

    Args:
        object_file: LLVM's object of functions that have no data and call no other.
        names: Names of all its functions, in order.

    Raises:
        RuntimeError: If the object needs a linker.
    """
    sections = dict(_sections(object_file))
    needed = {_TYPE, _IMPORT, _FUNCTION, _CODE}
    if sections.keys() != needed or sections[_IMPORT] != _vector([_LLVMS_MEMORY]):
        raise RuntimeError(
            "LLVM wrote an object for WebAssembly that needs a linker: sections "
            f"{sorted(sections)}, imports {sections.get(_IMPORT, b'')!r}"
        )
    sections[_IMPORT] = _vector([_name("env") + _name("memory") + _MEMORY_KIND + _ANY_SIZE])
    sections[_EXPORT] = _vector(
        [_name(name) + _FUNCTION_KIND + _number(k) for k, name in enumerate(names)]
    )
    return _HEADER + b"".join(
        bytes([kind]) + _number(len(content)) + content
        for kind, content in sorted(sections.items())
    )


def _sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields kind and content of each section that is not custom."""
    at = len(_HEADER)
    while at < len(module):
        kind = module[at]
        size, begin = _read_number(module, at + 1)
        at = begin + size
        if kind != _CUSTOM:
            yield kind, module[begin:at]


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    """Returns an unsigned LEB128 number, and the offset after it."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return number, at


def _number(number: int) -> bytes:
    """Returns a number as unsigned LEB128."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _number(rest) if rest else bytes([low])


def _name(name: str) -> bytes:
    return _number(len(name)) + name.encode("ascii")


def _vector(items: Iterable[bytes]) -> bytes:
    items = [*items]
    return _number(len(items)) + b"".join(items)
