"""The byte accountant: how many bytes an array of weights takes in a file, format by format.

Every format is a function that writes and one that reads, lossless to the bit (NaN, infinities and -0.0 included): `encode` gives bytes
that describe themselves, `decode` gives the array back, `encoded_size` counts them. The numbers may be floats, integers or bools of 1 to
8 bytes, or integers of 4 bits. A zero that need not be stored is the bit pattern 0; -0.0 is stored.

- ``raw float32``: the bytes as they are, four for each float32. A pruned model that is saved as it was. An array of another type takes
  its own bytes (two 4-bit integers share one); ``raw`` is another name for this format.
- ``gzip``: the raw bytes, compressed. What everybody has at hand, and what TFMOT's tutorials report.
- ``bitmask``: one bit a weight (stored or zero), then the non-zero weights.
- ``CSR``: compressed sparse rows of the array seen as a matrix (rows, last axis): where each row begins, the column of each non-zero
  weight, the weights; indices in the smallest unsigned type that holds them. The format that sparse matrix products use.
- ``relative index``: the number of zeros before each non-zero weight (its gap), Huffman-coded; then of each weight the byte behind the
  sign, which is the exponent of a float32, Huffman-coded, because trained weights have few exponents; then sign and mantissa, three
  bytes of a float32, which no code makes smaller. An array without a zero needs no gaps.
- ``codebook``: the gaps as above, then each distinct weight once and a Huffman-coded index for each non-zero weight. It pays when
  weights are shared (clustered or quantized), and costs more than the raw bytes when they are not.

Source: Han, Mao & Dally 2016, "Deep Compression", sections 2 (relative index), 3 (codebook) and 4 (Huffman coding). The paper gives a
gap a fixed number of bits (5 or 8) and puts a filler zero where one is larger; here gaps are Huffman-coded and a filler stands for 255
zeros. The paper's weights are all codebook indices; the exponent bytes of ``relative index`` are this module's own. The Huffman coder
is that of zlib, told to look for no repetitions: codes of 1 to 15 bits, a new table every 32,767 symbols.
"""

import math
import zlib

import numpy as np

from . import checks

GZIP_LEVEL = 6  # within 2% of level 9 on trained weights, in a seventh of its time where half are pruned
TYPES = (
    *("float32", "float16", "bfloat16", "float64"),
    *("int4", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"),
)
_MAGIC = b"KDW2"
_FILLER = 255  # as a gap: 255 zeros, and no weight after them


def _varint(number: int) -> bytes:
    """Return a non-negative integer in seven bits a byte, the lowest first; the highest bit says that more follow (LEB128)."""
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _huffman(symbols: np.ndarray) -> bytes:
    """Return bytes Huffman-coded, after the length of the code."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    code = coder.compress(np.ascontiguousarray(symbols)) + coder.flush()
    return _varint(len(code)) + code


def _packed(words: np.ndarray, bits: int) -> bytes:
    """Return the bytes of bit patterns; two of 4 bits share one, the first in its lower half."""
    if bits == 4:
        words = np.append(words, np.zeros(len(words) % 2, np.uint8))
        words = words[::2] | words[1::2] << 4
    return words.tobytes()


class _Reader:
    """Takes parts from the front of a byte string; each is checked before memory is asked for."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def bytes(self, count: int) -> bytes:
        checks.require(count <= len(self.data) - self.at, "it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        number = 0
        for shift in range(0, 64, 7):
            byte = self.bytes(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("it holds a number that is too large")

    def array(self, dtype, count: int) -> np.ndarray:
        return np.frombuffer(self.bytes(count * np.dtype(dtype).itemsize), dtype)

    def words(self, bits: int, count: int) -> np.ndarray:
        """Undo `_packed`."""
        if bits == 4:
            pairs = self.array(np.uint8, (count + 1) // 2)
            return np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)[:count]
        return self.array(f"<u{bits // 8}", count).copy()

    def inflated(self, code: bytes, wbits: int, most: int) -> np.ndarray:
        inflater = zlib.decompressobj(wbits)
        found = inflater.decompress(code, most + 1)
        if len(found) > most or not inflater.eof or inflater.unused_data:
            raise ValueError("a compressed part of it has another length than it tells")
        return np.frombuffer(found, np.uint8)

    def huffman(self, most: int) -> np.ndarray:
        """Undo `_huffman`: at most `most` symbols, and none took less than a bit."""
        code = self.bytes(self.varint())
        return self.inflated(code, -15, min(most, 8 * len(code)))


# The formats. `words` are the numbers' bit patterns, flat, as little-endian unsigned integers of `bits` bits (4 of them in a byte each).


def _write_gzip(words, bits, shape):
    return zlib.compress(_packed(words, bits), GZIP_LEVEL, 31)  # 31: with gzip's header, which holds no time: equal weights, equal bytes


def _read_gzip(reader, bits, shape):
    count = math.prod(shape)
    raw = reader.inflated(reader.bytes(len(reader.data) - reader.at), 31, (count * bits + 7) // 8)
    return _Reader(raw.tobytes()).words(bits, count)


def _stored(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (positions of the words that are not 0, these words): ten times as fast as ``words[words != 0]``."""
    positions = np.flatnonzero(words != 0)
    return positions, words[positions]


def _write_bitmask(words, bits, shape):
    return np.packbits(words != 0).tobytes() + _packed(_stored(words)[1], bits)


def _read_bitmask(reader, bits, shape):
    count = math.prod(shape)
    positions = np.flatnonzero(np.unpackbits(reader.array(np.uint8, (count + 7) // 8), count=count))
    return _placed(count, positions, reader.words(bits, len(positions)))


def _placed(count: int, positions: np.ndarray | None, values: np.ndarray) -> np.ndarray:
    """Return zeros but for `values` at `positions` (None: everywhere)."""
    checks.require(len(values) == (count if positions is None else len(positions)), "it holds too few weights")
    if positions is None:
        return values
    words = np.zeros(count, values.dtype)
    words[positions] = values
    return words


def _index_type(largest: int) -> np.dtype:
    return np.min_scalar_type(max(largest, 0)).newbyteorder("<")


def _matrix(shape) -> tuple[int, int]:
    """Return (rows, columns) of an array seen as a matrix; an empty one has no rows."""
    columns = shape[-1] if shape else 1
    return (math.prod(shape[:-1]) if columns else 0), columns


def _write_csr(words, bits, shape):
    (rows, width), (positions, values) = _matrix(shape), _stored(words)
    begins = np.searchsorted(positions, width * np.arange(rows + 1)).astype(_index_type(len(positions)))
    columns = (positions % max(width, 1)).astype(_index_type(width - 1))
    return _varint(len(positions)) + begins.tobytes() + columns.tobytes() + _packed(values, bits)


def _read_csr(reader, bits, shape):
    (rows, width), stored = _matrix(shape), reader.varint()
    begins = reader.array(_index_type(stored), rows + 1).astype(np.int64)
    columns = reader.array(_index_type(width - 1), stored).astype(np.int64)
    in_row = np.diff(begins)
    if begins[0] != 0 or begins[-1] != stored or (in_row < 0).any() or (columns >= width).any():
        raise ValueError("its rows or columns are out of range")
    positions = np.repeat(np.arange(rows) * width, in_row) + columns
    checks.require(not (np.diff(positions) <= 0).any(), "its columns are out of order")
    return _placed(math.prod(shape), positions, reader.words(bits, stored))


def _write_gaps(positions, count: int) -> bytes:
    if len(positions) == count:
        return _varint(count)
    gaps = np.diff(positions, prepend=-1) - 1
    if gaps.max(initial=0) >= _FILLER:
        fillers, rest = np.divmod(gaps, _FILLER)
        gaps = np.full(len(gaps) + fillers.sum(), _FILLER)
        gaps[np.cumsum(fillers + 1) - 1] = rest
    return _varint(len(positions)) + _huffman(gaps.astype(np.uint8))


def _read_gaps(reader, count: int) -> tuple[int, np.ndarray | None]:
    """Return (number of non-zero weights, their positions, or None for everywhere)."""
    stored = reader.varint()
    if stored == count:
        return stored, None
    symbols = reader.huffman(count)  # a weight or 255 zeros each: never more than there are numbers
    ends = symbols != _FILLER
    positions = np.cumsum(symbols.astype(np.int64) + ends)[ends] - 1
    checks.require(len(positions) == stored and (not stored or positions[-1] < count), "its gaps do not fit its shape")
    return stored, positions


def _write_relative(words, bits, shape):
    positions, values = _stored(words)
    turned = values << 1 | values >> 8 * words.itemsize - 1  # the sign, the highest bit, becomes the lowest one
    parts = turned.view(np.uint8).reshape(-1, words.itemsize)
    return _write_gaps(positions, len(words)) + _huffman(parts[:, -1]) + parts[:, :-1].tobytes()


def _read_relative(reader, bits, shape):
    count, size = math.prod(shape), max(bits // 8, 1)
    stored, positions = _read_gaps(reader, count)
    behind_sign = reader.huffman(stored)
    rest = reader.array(np.uint8, stored * (size - 1)).reshape(stored, size - 1)
    turned = np.column_stack([rest, behind_sign]).view(f"<u{size}")[:, 0]
    return _placed(count, positions, turned >> 1 | turned << 8 * size - 1)


def _write_codebook(words, bits, shape):
    positions, values = _stored(words)
    distinct, index = np.unique(values, return_inverse=True)
    parts = index.astype("<u4").view(np.uint8).reshape(-1, 4)[:, : _index_bytes(len(distinct))]
    table = _varint(len(distinct)) + _packed(distinct, bits)
    return _write_gaps(positions, len(words)) + table + b"".join(map(_huffman, parts.T))


def _index_bytes(distinct: int) -> int:
    return max(((distinct - 1).bit_length() + 7) // 8, 1)


def _read_codebook(reader, bits, shape):
    stored, positions = _read_gaps(reader, count := math.prod(shape))
    distinct = reader.words(bits, reader.varint())
    parts = [reader.huffman(stored) for _ in range(_index_bytes(len(distinct)))]
    index = sum(part.astype(np.int64) << 8 * place for place, part in enumerate(parts))
    return _placed(count, positions, distinct[index])


_FORMATS = {
    "raw float32": (lambda words, bits, shape: _packed(words, bits), lambda reader, bits, shape: reader.words(bits, math.prod(shape))),
    "gzip": (_write_gzip, _read_gzip),
    "bitmask": (_write_bitmask, _read_bitmask),
    "CSR": (_write_csr, _read_csr),
    "relative index": (_write_relative, _read_relative),
    "codebook": (_write_codebook, _read_codebook),
}
FORMATS = tuple(_FORMATS)


def _dtype(kind: str) -> np.dtype:
    if kind == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype("int8" if kind == "int4" else kind)


def _taken_apart(array, format: str, bits: int | None):
    """Return (bytes of the header, writer, bit patterns, bits of each, shape)."""
    format = FORMATS[0] if format == "raw" else checks.choice("format", format, FORMATS)
    try:
        found = np.asarray(array)
    except ValueError:  # rows of different lengths
        found = np.empty((), object)
    kind, shape = found.dtype.name, found.shape
    if kind not in TYPES or isinstance(array, np.ma.MaskedArray):
        checks.refuse("array", f"an array of {', '.join(TYPES)}", f"{type(array).__name__} of {found.dtype}")
    words = found.astype(found.dtype.newbyteorder("<"), order="C", copy=False).reshape(-1).view(f"<u{found.itemsize}")
    if bits is not None:
        if bits != 4:
            checks.refuse("bits", "None or 4", checks.shown(bits))
        if kind != "int8" or (found.size and not -8 <= found.min() <= found.max() <= 7):
            got = f"{kind} in {found.min()}..{found.max()}" if found.size else kind
            checks.refuse("array", "of int8 in -8..7, to be kept in 4 bits", got)
        kind, words = "int4", words & 15
    header = _MAGIC + b"".join(map(_varint, [FORMATS.index(format), TYPES.index(kind), len(shape), *shape]))
    return header, _FORMATS[format][0], words, bits or 8 * words.itemsize, shape


def encode(array, format: str, bits: int | None = None) -> bytes:
    """Return an array of any shape as bytes in one of `FORMATS`, with a header (format, type, shape) and a checksum, 13 bytes or more.

    Args:
        array: numbers of one of `TYPES`.
        format: a name in `FORMATS`, or "raw".
        bits: 4 for an array of int8 whose numbers are in -8..7: each takes half a byte. `decode` gives int8 back.

    Raises:
        ValueError: an unknown format, another type of array, or numbers that 4 bits cannot hold.
    """
    header, write, *parts = _taken_apart(array, format, bits)
    data = header + write(*parts)
    return data + zlib.crc32(data).to_bytes(4, "little")


def encoded_size(array, format: str, bits: int | None = None) -> int:
    """Return ``len(encode(array, format, bits))``, without the time for the checksum.

    Raises:
        ValueError: as `encode`.
    """
    header, write, *parts = _taken_apart(array, format, bits)
    return len(header) + len(write(*parts)) + 4


def entropy_bits(array) -> float:
    """Return the order-0 entropy of an array in bits: ``-log2(share of its value)``, added up over all its numbers.

    No code that gives each value a word of its own, whatever the neighbours, needs fewer bits. A Huffman code comes near: on the indices
    of a codebook of 16 entries within 3%.

    Source: Shannon 1948, "A Mathematical Theory of Communication".

    Args:
        array: numbers of one of `TYPES`, any shape; two numbers are one value if their bits are the same.

    Raises:
        ValueError: another type of array.
    """
    _, _, words, _, _ = _taken_apart(array, FORMATS[0], None)
    _, counts = np.unique(words, return_counts=True)
    return float((counts * np.log2(len(words) / counts)).sum())


def decode(data: bytes) -> np.ndarray:
    """Return the array that `encode` was given, equal to the bit, in this machine's order of bytes.

    Raises:
        ValueError: `data` is not what `encode` wrote, or is damaged.
    """
    if not isinstance(data, bytes):
        checks.refuse("data", "bytes", type(data).__name__)
    try:
        reader = _Reader(data[:-4])
        checks.require(reader.bytes(len(_MAGIC)) == _MAGIC, f"it does not begin with {_MAGIC!r}")
        checks.require(zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little"), "its checksum differs")
        format, kind = FORMATS[reader.varint()], TYPES[reader.varint()]
        shape = tuple(reader.varint() for _ in range(reader.varint()))
        bits = 4 if kind == "int4" else 8 * _dtype(kind).itemsize
        words = _FORMATS[format][1](reader, bits, shape)
        checks.require(reader.at == len(reader.data), "bytes are left over")
        if kind in ("int4", "bool") and words.max(initial=0) > (15 if bits == 4 else 1):
            raise ValueError(f"it holds numbers that are no {kind}")
        words = words if bits > 4 else (words ^ 8) - np.uint8(8)  # the sign of 4 bits becomes that of 8
        return words.view(_dtype(kind)).reshape(shape)
    except (ValueError, IndexError, OverflowError, MemoryError, zlib.error) as error:
        checks.refuse("data", "what encode wrote, whole and unchanged", f"{len(data)} bytes: {error or 'it asks for too much memory'}")
