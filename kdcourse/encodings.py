"""The byte accountant: how many bytes an array of weights takes in a file, format by format.

Every format is a real encoder with a real decoder, lossless to the bit (NaN, infinities and -0.0 included): `encode` gives bytes that
describe themselves, `decode` gives the array back, `encoded_size` tells their number without packing them, fast enough for a slider.
A zero that need not be stored is the bit pattern 0; -0.0 is stored.

- ``raw float32``: four bytes a weight, whatever it is. A pruned model that is saved as it was.
- ``gzip``: the raw bytes, compressed. What everybody has at hand, and what TFMOT's tutorials report.
- ``bitmask``: one bit a weight (stored or zero), then the non-zero weights.
- ``CSR``: compressed sparse rows of the array seen as a matrix (rows, last axis): where each row begins, the column of each non-zero
  weight, the weights; indices in the smallest unsigned type that holds them. The format that sparse matrix products use.
- ``relative index``: the number of zeros before each non-zero weight (its gap), Huffman-coded; then the exponent bytes of the weights,
  Huffman-coded, because trained weights have few exponents; then sign and mantissa in three bytes, which no code makes smaller.
- ``codebook``: the gaps as above, then each distinct weight once and a Huffman-coded index for each non-zero weight. It pays when
  weights are shared (clustered or quantized), and costs more than the raw bytes when they are not.

Source: Han, Mao & Dally 2016, "Deep Compression", sections 2 (relative index), 3 (codebook) and 4 (Huffman coding). The paper gives a
gap a fixed number of bits (5 or 8) and puts a filler zero where one is larger; here gaps are Huffman-coded and a filler stands for 255
zeros. The paper's weights are all codebook indices; the exponent bytes of ``relative index`` are this module's own.
"""

import gzip
import heapq
import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

GZIP_LEVEL = 6  # within 2% of level 9 on trained weights, in a seventh of its time where half are pruned
_MAGIC = b"KDW1"
_FILLER = 255  # as a gap: 255 zeros, and no weight after them
_MOST_SYMBOLS = 4096  # above, the tree is not worth its time: nearly every weight is distinct, and all codes get the same length


def _varint(number: int) -> bytes:
    """Return a non-negative integer in seven bits a byte, the lowest first; the highest bit says that more follow (LEB128)."""
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


class _Reader:
    """Takes parts from the front of a byte string."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        number, shift = 0, 0
        while (byte := self.bytes(1)[0]) > 127:
            number, shift = number | (byte & 127) << shift, shift + 7
        return number | byte << shift

    def array(self, dtype, count: int) -> np.ndarray:
        return np.frombuffer(self.bytes(count * np.dtype(dtype).itemsize), dtype)


# Huffman coding of a stream of symbols (bytes, or 32-bit words). The codes are canonical: given their lengths, they are the consecutive
# numbers of each length. So a table needs only how many codes each length has, and the symbols in the order of their codes.


def _code_lengths(counts: np.ndarray) -> np.ndarray:
    """Return the length in bits of each symbol's Huffman code. A single symbol needs no bit at all."""
    symbols = len(counts)
    if symbols > _MOST_SYMBOLS:
        return np.full(symbols, math.ceil(math.log2(symbols)))
    heap = [(count, node) for node, count in enumerate(counts.tolist())]
    heapq.heapify(heap)
    parents = [0] * (2 * symbols - 1)
    for parent in range(symbols, 2 * symbols - 1):  # the two rarest become one
        (rarest, first), (second_rarest, second) = heapq.heappop(heap), heap[0]
        parents[first] = parents[second] = parent
        heapq.heapreplace(heap, (rarest + second_rarest, parent))
    depths = [0] * (2 * symbols - 1)
    for node in range(2 * symbols - 3, -1, -1):  # parents have higher numbers than their children
        depths[node] = depths[parents[node]] + 1
    return np.array(depths[:symbols])


class _Code(NamedTuple):
    order: np.ndarray  # of the distinct symbols, by code
    lengths: np.ndarray  # in that order
    table: bytes  # how many symbols in the stream, how many codes of each length, how many bytes of codes; the symbols by code
    size: int  # of table and codes together, in bytes


def _code(distinct: np.ndarray, counts: np.ndarray) -> _Code:
    """Return the code for a stream in which the sorted symbols `distinct` occur `counts` times."""
    if not len(distinct):
        return _Code(np.empty(0, int), np.empty(0, int), _varint(0), 1)
    lengths = _code_lengths(counts)
    order = np.argsort(lengths, kind="stable")
    by_length = np.bincount(lengths).tolist()
    packed = (int(counts @ lengths) + 7) // 8
    numbers = b"".join(map(_varint, [int(counts.sum()), len(by_length), *by_length, packed]))
    return _Code(order, lengths[order], numbers + distinct[order].tobytes(), len(numbers) + distinct.nbytes + packed)


def _codes(lengths: np.ndarray) -> np.ndarray:
    """Return the canonical codes of ascending lengths, each shifted left to the longest: ascending too, so a decoder can search them."""
    steps = np.left_shift(np.uint64(1), (lengths[-1] - lengths).astype(np.uint64))
    return np.cumsum(steps, dtype=np.uint64) - steps


def _histogram(symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct symbols in order, and how often each occurs."""
    if symbols.dtype == np.uint8:
        counts = np.bincount(symbols, minlength=256)
        distinct = np.flatnonzero(counts)
        return distinct.astype(np.uint8), counts[distinct]
    return np.unique(symbols, return_counts=True)


def _huffman(symbols: np.ndarray) -> bytes:
    """Return the symbols Huffman-coded: table, then codes."""
    distinct, counts = _histogram(symbols)
    code = _code(distinct, counts)
    if not len(symbols):
        return code.table
    longest = int(code.lengths[-1])
    rank = np.empty(len(distinct), int)
    rank[code.order] = np.arange(len(distinct))
    rank = rank[np.searchsorted(distinct, symbols)]
    lengths, codes = code.lengths[rank], _codes(code.lengths)[rank]
    starts = np.cumsum(lengths) - lengths
    bits = np.zeros(starts[-1] + lengths[-1], np.uint8)
    for place in range(longest):  # the first bit of all codes, then the second of all that have one
        has = lengths > place
        bits[starts[has] + place] = codes[has] >> np.uint64(longest - 1 - place) & np.uint64(1)
    return code.table + np.packbits(bits).tobytes()


def _windows(data: bytes, width: int) -> np.ndarray:
    """Return, for every bit of `data`, the number that it and the next ``width - 1`` bits make (width <= 57)."""
    padded = np.frombuffer(data + bytes(8), np.uint8).astype(np.uint64)
    words = np.zeros(len(data), np.uint64)
    for byte in range(8):
        words |= padded[byte : byte + len(data)] << np.uint64(56 - 8 * byte)
    found = np.empty((len(data), 8), np.uint64)
    for bit in range(8):
        found[:, bit] = words << np.uint64(bit) >> np.uint64(64 - width)
    return found.reshape(-1)


def _read_huffman(reader: _Reader, dtype) -> np.ndarray:
    """Return the symbols that `_huffman` wrote."""
    count = reader.varint()
    if not count:
        return np.empty(0, dtype)
    by_length = [reader.varint() for _ in range(reader.varint())]
    lengths = np.repeat(np.arange(len(by_length)), by_length)
    packed, symbols = reader.varint(), reader.array(dtype, len(lengths))
    longest = int(lengths[-1])
    if not longest:
        return np.repeat(symbols, count)
    codes, windows = _codes(lengths), _windows(reader.bytes(packed), longest)
    if lengths[0] == longest:
        starts = longest * np.arange(count)
    else:
        # Where a code starts depends on all before it. So: the length of the code that would start at each bit, for all bits at once,
        # and then one walk from code to code.
        first = np.flatnonzero(np.diff(lengths, prepend=0))  # of each length
        length_here = lengths[first][np.searchsorted(codes[first], windows, side="right") - 1]
        step, starts, at = memoryview(length_here), np.empty(count, int), 0
        for i in range(count):
            starts[i] = at
            at += step[at]
    return symbols[np.searchsorted(codes, windows[starts], side="right") - 1]


# The formats. `words` are the weights' bit patterns, flat, as little-endian unsigned integers.


def _write_raw(words, shape):
    return words.tobytes()


def _size_raw(words, shape):
    return 4 * len(words)


def _read_raw(reader, shape):
    return reader.array("<u4", math.prod(shape))


def _write_gzip(words, shape):
    return gzip.compress(words, GZIP_LEVEL, mtime=0)  # without a time, equal weights are equal bytes


def _size_gzip(words, shape):
    return len(_write_gzip(words, shape))


def _read_gzip(reader, shape):
    return np.frombuffer(gzip.decompress(reader.data[reader.at :]), "<u4")


def _write_bitmask(words, shape):
    kept = words != 0
    return np.packbits(kept).tobytes() + words[kept].tobytes()


def _size_bitmask(words, shape):
    return (len(words) + 7) // 8 + 4 * np.count_nonzero(words)


def _read_bitmask(reader, shape):
    count = math.prod(shape)
    kept = np.unpackbits(reader.array(np.uint8, (count + 7) // 8), count=count).view(bool)
    return _placed(count, np.flatnonzero(kept), reader.array("<u4", np.count_nonzero(kept)))


def _placed(count: int, positions, values) -> np.ndarray:
    words = np.zeros(count, "<u4")
    words[positions] = values
    return words


def _matrix(shape) -> tuple[int, int]:
    """Return (rows, columns) of an array seen as a matrix; an empty one has no rows."""
    columns = shape[-1] if shape else 1
    return (math.prod(shape) // columns if columns else 0), columns


def _index_type(largest: int) -> np.dtype:
    return np.min_scalar_type(largest).newbyteorder("<")


def _write_csr(words, shape):
    rows, columns = _matrix(shape)
    positions = np.flatnonzero(words)
    row, column = np.divmod(positions, max(columns, 1))
    begins = np.searchsorted(row, np.arange(rows + 1)).astype(_index_type(len(positions)))
    column = column.astype(_index_type(max(columns - 1, 0)))
    return _varint(len(positions)) + begins.tobytes() + column.tobytes() + words[positions].tobytes()


def _size_csr(words, shape):
    (rows, columns), stored = _matrix(shape), np.count_nonzero(words)
    each = _index_type(max(columns - 1, 0)).itemsize + 4
    return len(_varint(stored)) + (rows + 1) * _index_type(stored).itemsize + stored * each


def _read_csr(reader, shape):
    (rows, columns), stored = _matrix(shape), reader.varint()
    begins = reader.array(_index_type(stored), rows + 1).astype(int)
    column = reader.array(_index_type(max(columns - 1, 0)), stored)
    positions = np.repeat(np.arange(rows) * columns, np.diff(begins)) + column
    return _placed(math.prod(shape), positions, reader.array("<u4", stored))


def _gaps(words) -> tuple[np.ndarray, np.ndarray]:
    """Return (number of zeros before each non-zero weight, the non-zero weights)."""
    positions = np.flatnonzero(words)
    return np.diff(positions, prepend=-1) - 1, words[positions]


def _write_gaps(gaps) -> bytes:
    fillers, rest = np.divmod(gaps, _FILLER)
    symbols = np.full(len(gaps) + fillers.sum(), _FILLER, np.uint8)
    symbols[np.cumsum(fillers + 1) - 1] = rest
    return _huffman(symbols)


def _size_gaps(gaps) -> int:
    rest, fillers = gaps, 0
    if len(gaps) and gaps.max() >= _FILLER:
        fillers, rest = np.divmod(gaps, _FILLER)
    counts = np.bincount(rest, minlength=256)
    counts[_FILLER] = np.sum(fillers)
    distinct = np.flatnonzero(counts)
    return _code(distinct.astype(np.uint8), counts[distinct]).size


def _read_gaps(reader) -> np.ndarray:
    """Return the positions of the non-zero weights."""
    symbols = _read_huffman(reader, np.uint8).astype(int)
    weight = symbols != _FILLER
    return np.cumsum(symbols + weight)[weight] - 1


def _exponents(values) -> np.ndarray:
    return (values >> np.uint32(23)).astype(np.uint8)  # the sign falls off at the left


def _write_relative(words, shape):
    gaps, values = _gaps(words)
    rest = values >> np.uint32(8) & np.uint32(1 << 23) | values & np.uint32((1 << 23) - 1)  # sign and mantissa
    return _write_gaps(gaps) + _huffman(_exponents(values)) + rest.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _size_relative(words, shape):
    gaps, values = _gaps(words)
    return _size_gaps(gaps) + _code(*_histogram(_exponents(values))).size + 3 * len(values)


def _read_relative(reader, shape):
    positions = _read_gaps(reader)
    exponents = _read_huffman(reader, np.uint8).astype(np.uint32)
    rest = np.zeros((len(exponents), 4), np.uint8)
    rest[:, :3] = reader.array(np.uint8, 3 * len(exponents)).reshape(-1, 3)
    rest = rest.view("<u4")[:, 0]
    sign, mantissa = rest >> np.uint32(23), rest & np.uint32((1 << 23) - 1)
    return _placed(math.prod(shape), positions, sign << np.uint32(31) | exponents << np.uint32(23) | mantissa)


def _write_codebook(words, shape):
    gaps, values = _gaps(words)
    return _write_gaps(gaps) + _huffman(values)


def _size_codebook(words, shape):
    gaps, values = _gaps(words)
    return _size_gaps(gaps) + _code(*_histogram(values)).size


def _read_codebook(reader, shape):
    positions = _read_gaps(reader)
    return _placed(math.prod(shape), positions, _read_huffman(reader, "<u4"))


class _Format(NamedTuple):
    write: Callable
    size: Callable
    read: Callable


_FORMATS = {
    "raw float32": _Format(_write_raw, _size_raw, _read_raw),
    "gzip": _Format(_write_gzip, _size_gzip, _read_gzip),
    "bitmask": _Format(_write_bitmask, _size_bitmask, _read_bitmask),
    "CSR": _Format(_write_csr, _size_csr, _read_csr),
    "relative index": _Format(_write_relative, _size_relative, _read_relative),
    "codebook": _Format(_write_codebook, _size_codebook, _read_codebook),
}
FORMATS = tuple(_FORMATS)


def _checked(array, format: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return (bit patterns, shape)."""
    if format not in FORMATS:
        raise ValueError(f"format must be one of {list(FORMATS)}, got {format!r}")
    array = np.asarray(array)
    if array.dtype != np.float32:
        raise ValueError(f"array must be of float32, got {array.dtype}")
    return array.astype("<f4", order="C", copy=False).reshape(-1).view("<u4"), array.shape


def _header(format: str, shape) -> bytes:
    return _MAGIC + b"".join(map(_varint, [FORMATS.index(format), len(shape), *shape]))


def encode(array, format: str) -> bytes:
    """Return a float32 array of any shape as bytes in one of `FORMATS`, with a header (format, shape, checksum) of about 12 bytes.

    Raises:
        ValueError: an unknown format; an array of another type than float32.
    """
    words, shape = _checked(array, format)
    header, payload = _header(format, shape), _FORMATS[format].write(words, shape)
    return header + payload + zlib.crc32(header + payload).to_bytes(4, "little")


def encoded_size(array, format: str) -> int:
    """Return ``len(encode(array, format))``. Nothing is packed, except for gzip, which has to compress in order to know.

    Raises:
        ValueError: as `encode`.
    """
    words, shape = _checked(array, format)
    return len(_header(format, shape)) + int(_FORMATS[format].size(words, shape)) + 4


def decode(data: bytes) -> np.ndarray:
    """Return the array that `encode` was given, equal to the bit.

    Raises:
        ValueError: `data` is not what `encode` wrote, or is damaged.
    """
    if not isinstance(data, bytes):
        raise ValueError(f"data must be bytes, got {type(data).__name__}")
    try:
        reader = _Reader(data[:-4])
        if reader.bytes(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"it does not begin with {_MAGIC!r}")
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise ValueError("its checksum differs")
        format = FORMATS[reader.varint()]
        shape = tuple(reader.varint() for _ in range(reader.varint()))
        return _FORMATS[format].read(reader, shape).reshape(shape).astype("<u4").view(np.float32)
    except (ValueError, IndexError) as error:
        raise ValueError(f"data must be what encode wrote, whole and unchanged; got {len(data)} bytes: {error}") from None
