"""Damage to files: bits flip, parts vanish and double, numbers and nests grow."""

from __future__ import annotations

import random
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes], bytes]


def place(chance: random.Random, content: bytes) -> int:
    """Returns a random position, half of the time within the first 300 bytes."""
    size = len(content)
    return chance.randrange(min(size, 300) if chance.random() < 0.5 else size)


def flip(chance: random.Random, content: bytes) -> bytes:
    """Flips some bits."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 10, 100))):
        changed[place(chance, content)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(chance: random.Random, content: bytes) -> bytes:
    """Removes the end, or a part in the middle."""
    at = place(chance, content)
    return content[:at] + content[at + chance.choice((1, 7, 100, len(content))) :]


def insert(chance: random.Random, content: bytes) -> bytes:
    """Inserts random bytes."""
    at = place(chance, content)
    return content[:at] + chance.randbytes(chance.choice((1, 4, 50))) + content[at:]


def double(chance: random.Random, content: bytes) -> bytes:
    """Repeats a part."""
    at = place(chance, content)
    part = content[at : at + chance.choice((1, 20, 1000))]
    return content[:at] + part * chance.choice((2, 2, 50)) + content[at:]


def huge(chance: random.Random, content: bytes) -> bytes:
    """Replaces a digit by a number beyond every bound."""
    digits = [k for k, byte in enumerate(content) if byte in b"0123456789"]
    at = chance.choice(digits or [0])
    number = chance.choice(
        (b"9" * 30, b"1e999", b"-1e999", b"9" * 9999, b"0." + b"0" * 500 + b"1", b"-1")
    )
    return content[:at] + number + content[at + 1 :]


def lengths(chance: random.Random, content: bytes) -> bytes:
    """Sets all bits of some bytes, which makes lengths larger than the file."""
    at, size = place(chance, content), chance.choice((1, 2, 4, 8))
    return content[:at] + b"\xff" * size + content[at + size :]


def nest(chance: random.Random, content: bytes) -> bytes:
    """Inserts nested brackets."""
    at, depth = place(chance, content), chance.choice((10, 2000, 100_000))
    opening = chance.choice((b"[", b'{"a":', b'"', b"{"))
    return content[:at] + opening * depth + content[at:]


def long(chance: random.Random, content: bytes) -> bytes:
    """Inserts up to 10 MB without a newline."""
    at = place(chance, content)
    filling = chance.choice((b"x", b"1", b",", b";", b" ", b"1,", b'"', b"\0"))
    return content[:at] + filling * chance.choice((100_000, 5_000_000)) + content[at:]


def invalid(chance: random.Random, content: bytes) -> bytes:
    """Inserts invalid UTF-8, a line separator or a change of writing direction."""
    at = place(chance, content)
    candidates = (
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\0",
        b"\r",
        "\u2028\u202e".encode(),
    )
    return content[:at] + chance.choice(candidates) + content[at:]


# nest and long are slower than all others.
MUTATORS: tuple[Mutation, ...] = (
    *(flip, cut, insert, double, huge, lengths, invalid) * 3,
    *(nest, long),
)


def damage(name: str, content: bytes) -> bytes:
    """Damages a file in one to five ways, which its name decides."""
    chance = random.Random(name)  # noqa: S311 (reproducible)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        content = chance.choice(MUTATORS)(chance, content or b"0")
    return content
