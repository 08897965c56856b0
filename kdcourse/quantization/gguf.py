"""What is inside a GGUF file, the form in which llama.cpp keeps language models: which tensor is stored how, and its numbers.

A file begins with a header: magic, version, counts, metadata (names and values), and a directory of the tensors. Their bytes follow.
A quantized tensor is a row of blocks of 32 weights, one after the other along the inputs of an output; each block begins with its scale:

==== ==================================================================== =============
kind a block of 32 weights                                                bits a weight
==== ==================================================================== =============
Q4_0 scale float16, 16 bytes with two integers 0..15 each; w = s (q - 8)            4.5
Q4_1 scale and smallest value float16, the same 16 bytes; w = s q + m               5.0
Q8_0 scale float16, 32 integers of 8 bits; w = s q                                  8.5
==== ==================================================================== =============

Source: the specification of GGUF, github.com/ggml-org/ggml, docs/gguf.md, version 3.
"""

import struct
from typing import NamedTuple

import numpy as np

from kdcourse import checks

KINDS = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 8: "Q8_0"}  # those that this module reads, by their numbers
SIZES = {"F32": (1, 4), "F16": (1, 2), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q8_0": (32, 34)}  # (weights, bytes) of a block
_NUMBERS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}  # of metadata, as struct names them
_TEXT, _ARRAY = 8, 9


class Tensor(NamedTuple):
    """One entry of the directory."""

    shape: tuple[int, ...]  # the inputs come first, and their numbers stand beside each other
    kind: str
    start: int  # the place of its first byte in the file

    @property
    def weights(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape))

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        numbers, size = SIZES[self.kind]
        return self.weights // numbers * size


def directory(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a GGUF file by name, in the order of the file.

    Args:
        content: the file, or its beginning with the whole header.

    Raises:
        ValueError: no GGUF file of version 2 or 3, one that ends within its header, or a tensor of a kind that is not in `KINDS`.
    """
    if bytes(content[:4]) != b"GGUF":
        checks.refuse("content", "a GGUF file, which begins with the letters GGUF", checks.shown(bytes(content[:4])))
    try:
        return _directory(content)
    except struct.error:
        raise ValueError(f"content must hold the whole header of a GGUF file, got {len(content):,} bytes that end within it") from None


def _directory(content: bytes) -> dict[str, Tensor]:
    place, aligned = 4, 32

    def take(form: str):
        nonlocal place
        (value,) = struct.unpack_from("<" + form, content, place)
        place += struct.calcsize("<" + form)
        return value

    def text() -> str:
        return take(f"{take('Q')}s").decode()

    def value(kind: int):
        if kind == _ARRAY:
            of, count = take("I"), take("Q")
            return [value(of) for _ in range(count)]
        return text() if kind == _TEXT else take(_NUMBERS[kind])

    if (version := take("I")) not in (2, 3):
        checks.refuse("content", "a GGUF file of version 2 or 3", f"version {version}")
    tensors, entries, found = take("Q"), take("Q"), {}
    for _ in range(entries):
        name = text()
        meant = value(take("I"))
        aligned = meant if name == "general.alignment" else aligned
    for _ in range(tensors):
        name = text()
        shape = tuple(take("Q") for _ in range(take("I")))
        kind, offset = take("I"), take("Q")
        checks.require(kind in KINDS, f"{name} must be stored as one of {', '.join(SIZES)}, got kind number {kind}")
        found[name] = Tensor(shape, KINDS[kind], offset)
    begin = -(-place // aligned) * aligned
    return {name: tensor._replace(start=begin + tensor.start) for name, tensor in found.items()}


def decoded(raw: bytes, kind: str) -> np.ndarray:
    """Return the numbers that the bytes of a tensor, or some of its blocks, stand for, float32, shape ``(numbers,)``.

    Args:
        raw: whole blocks.
        kind: one of `SIZES`.

    Raises:
        ValueError: an unknown kind, or bytes that are not whole blocks.
    """
    size = SIZES[checks.choice("kind", kind, SIZES)][1]
    if not len(raw) or len(raw) % size:
        checks.refuse("raw", f"whole blocks of {size} bytes, as {kind} has", f"{len(raw)} bytes")
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, size)
    if kind in ("F32", "F16"):
        return np.frombuffer(raw, "<f4" if kind == "F32" else "<f2").astype(np.float32)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    if kind == "Q8_0":
        return (scale * blocks[:, 2:].view(np.int8)).reshape(-1)
    packed = blocks[:, size - 16 :]
    integers = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)  # the lower halves are the first 16
    least = -8 * scale if kind == "Q4_0" else blocks[:, 2:4].copy().view("<f2").astype(np.float32)
    return (scale * integers + least).reshape(-1)
