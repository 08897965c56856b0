"""Every format gives back the array to the bit, whatever its type, and refuses what it did not write."""

import tracemalloc
import zlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdcourse import formats, models

# -0.0, three NaNs, both infinities, the smallest and the largest number
SPECIAL = np.array([0x80000000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0x7F800000, 0xFF800000, 1, 0x7F7FFFFF], "<u4")


@st.composite
def words(draw):
    """Bit patterns of float32 numbers in any shape: dense or sparse, of few or many distinct values, special ones among them."""
    shape = tuple(draw(st.lists(st.integers(0, 12), max_size=4)))
    if draw(st.booleans()) and shape:
        shape = (*shape[:-1], draw(st.sampled_from([1, 255, 256, 257, 1000])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, size = draw(st.sampled_from(["any bits", "special", "few", "normal"])), int(np.prod(shape))
    found = {
        "any bits": rng.integers(0, 2**32, size, dtype=np.uint64).astype("<u4"),
        "special": rng.choice(SPECIAL, size),
        "few": rng.choice(rng.normal(size=draw(st.integers(1, 20))).astype(np.float32), size).view("<u4"),
        "normal": rng.normal(0, 0.05, size).astype(np.float32).view("<u4"),
    }[kind]
    kept = draw(st.sampled_from([0, 0.001, 0.01, 0.1, 0.5, 0.9, 1]))
    return np.where(rng.random(size) < kept, found, 0).astype("<u4").reshape(shape)


def holds(array, format, bits=None):
    data = formats.encode(array, format, bits)
    back = formats.decode(data)
    assert (back.shape, back.dtype) == (array.shape, array.dtype)
    assert back.tobytes() == array.tobytes()  # the bits: NaN is not equal to itself, and -0.0 equals 0.0
    assert formats.encoded_size(array, format, bits) == len(data)
    return data


@settings(deadline=None, max_examples=200)
@given(words=words(), format=st.sampled_from(formats.FORMATS))
def test_decode_gives_back_the_bits_and_the_size_is_known(words, format):
    holds(words.view(np.float32), format)


def typed(words, type):
    """Return numbers of `type` made of the upper bits of float32 numbers, the zeros where they were."""
    if type == "bool":
        return words != 0
    if type == "int4":
        return (words >> 28).astype(np.int8) - np.int8(8) * (words != 0)
    size = np.dtype(type).itemsize
    wide = words.astype("<u8") << 32 | words
    return (wide >> 8 * (8 - size)).astype(f"<u{size}").view(type)


@pytest.mark.parametrize("type", formats.TYPES)
@settings(deadline=None, max_examples=40)
@given(words=words(), format=st.sampled_from(formats.FORMATS))
def test_every_type_comes_back_to_the_bit(type, words, format):
    type_of_bfloat16 = ml_dtypes.bfloat16 if type == "bfloat16" else type
    holds(typed(words, type_of_bfloat16), format, 4 if type == "int4" else None)


def test_4_bits_are_half_a_byte_in_every_format():
    numbers = np.random.default_rng(0).integers(-8, 8, (300, 100)).astype(np.int8)
    numbers[:, ::3] = 0
    for format in formats.FORMATS:
        four, eight = (formats.encoded_size(numbers, format, bits) for bits in (4, None))
        # the values take half, the places of the non-zero ones as much as before; a code of the values does not care
        assert eight - four == pytest.approx({"raw float32": 15_000, "bitmask": 9_300, "CSR": 9_300}.get(format, 750), abs=800), format
    assert formats.decode(formats.encode(numbers, "raw", 4)).dtype == np.int8


def test_raw_is_the_array_of_any_type():
    for type in ("float16", "int8", "float64"):
        array = np.arange(40).astype(type)
        assert formats.encode(array, "raw") == formats.encode(array, "raw float32")
        assert formats.encoded_size(array, "raw") == array.nbytes + 12


def test_another_order_of_bytes_gives_the_same_file():
    array = np.array([1.5, 0, -2], np.float32)
    assert formats.encode(array.astype(">f4"), "CSR") == formats.encode(array, "CSR")


def one_non_zero(place, size=700):
    array = np.zeros(size, np.float32)
    array[place] = -1.5
    return array


EDGES = {
    "no axis": np.float32(3).reshape(()),
    "no axis, zero": np.float32(0).reshape(()),
    "empty": np.zeros(0, np.float32),
    "no rows": np.zeros((0, 3), np.float32),
    "no columns": np.zeros((1 << 40, 0), np.float32),
    "all zero": np.zeros((5, 7), np.float32),
    "only -0.0": np.full(9, -0.0, np.float32),
    "all equal": np.full((3, 4), 0.25, np.float32),
    "special": SPECIAL.view(np.float32),
    "256 columns": np.eye(2, 256, dtype=np.float32),
    "257 columns": np.eye(2, 257, dtype=np.float32),
    "first": one_non_zero(0),
    "last": one_non_zero(-1),
    **{f"gap of {gap}": one_non_zero(gap) for gap in (254, 255, 256, 509, 510, 511)},
    "in another order": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "every second": np.arange(12, dtype=np.float32)[::2],
}


@pytest.mark.parametrize("format", formats.FORMATS)
@pytest.mark.parametrize("name", EDGES)
def test_edges(name, format):
    holds(EDGES[name], format)
    formats.decode(formats.encode(EDGES[name], format))[...] = 1  # what comes back may be written to


def test_huffman_is_as_short_as_its_code():
    # counts of powers of two: the textbook's codes take 1, 2, 3, ... bits, and zlib needs one more symbol for the end
    symbols = np.repeat(np.arange(12, dtype=np.uint8), 2 ** np.arange(12))
    np.random.default_rng(0).shuffle(symbols)
    counts, lengths = 2 ** np.arange(12), [11, *range(11, 0, -1)]
    assert len(formats._huffman(symbols)) == pytest.approx(np.dot(counts, lengths) / 8, abs=60)


@pytest.fixture(scope="module")
def kernels():
    return {layer.name: layer.kernel.numpy() for layer in models.load_trained("mnist-5k-lenet5").layers if hasattr(layer, "kernel")}


def pruned(array, sparsity):
    return np.where(np.abs(array) >= np.quantile(np.abs(array), sparsity), array, 0).astype(np.float32)


def test_what_wins_on_trained_weights(kernels):
    array = kernels["dense1"]
    assert array.size == 400_000
    size = {s: {f: len(holds(pruned(array, s), f)) for f in formats.FORMATS} for s in (0, 0.5, 0.8, 0.95)}
    assert all(sizes["raw float32"] == 1_600_015 for sizes in size.values())  # pruning alone makes nothing smaller
    assert all(sizes["relative index"] < sizes["gzip"] for sizes in size.values())
    assert size[0.8]["relative index"] < 0.8 * size[0.8]["gzip"]
    assert size[0]["CSR"] > size[0]["raw float32"] and size[0]["bitmask"] > size[0]["raw float32"]
    assert size[0.8]["bitmask"] < size[0.8]["CSR"] and size[0.95]["CSR"] < size[0.95]["bitmask"]


def test_the_codebook_pays_when_weights_are_shared(kernels):
    array = kernels["conv2"]
    centroids = np.quantile(array[array != 0], np.linspace(0.02, 0.98, 16)).astype(np.float32)
    shared = centroids[np.abs(array[..., None] - centroids).argmin(-1)]
    assert len(holds(shared, "codebook")) < 4.1 / 32 * shared.nbytes < len(holds(shared, "gzip"))
    assert len(holds(array, "codebook")) > array.nbytes


def test_known_sizes():
    array = np.zeros((10, 300), np.float32)
    array[::2, ::3] = np.linspace(1, 2, 500).reshape(5, 100)
    header = 4 + 1 + 1 + 1 + (1 + 2) + 4  # name, format, type, axes, 10 and 300, checksum
    assert formats.encoded_size(array, "raw float32") == header + 4 * 3000
    assert formats.encoded_size(array, "bitmask") == header + 3000 // 8 + 4 * 500
    assert formats.encoded_size(array, "CSR") == header + 2 + 11 * 2 + 500 * (2 + 4)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_damage_is_one_clear_error(format):
    data = formats.encode(pruned(np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32), 0.7), format)
    damaged = [data[:end] for end in range(0, len(data), 7)] + [data + b"\0"]
    for place in range(0, len(data), 5):
        damaged.append(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
    for bad in damaged:
        with pytest.raises(ValueError, match=f"data must be what encode wrote, whole and unchanged, got {len(bad)} bytes"):
            formats.decode(bad)


def sealed(body):
    return body + zlib.crc32(body).to_bytes(4, "little")


def header(format, kind, *shape):
    return b"KDW2" + bytes([formats.FORMATS.index(format), formats.TYPES.index(kind), len(shape)]) + b"".join(map(formats._varint, shape))


def forged():
    """Files with a right checksum that `encode` never writes: {what is wrong: bytes}."""
    one, words = np.float32(1).tobytes(), formats._varint(1 << 30)
    bomb = zlib.compress(bytes(1 << 24), 9, 31)
    whole = {format: formats.encode(np.eye(5, 4, dtype=np.float32), format)[:-4] for format in formats.FORMATS}
    codes = {name: formats._huffman(np.array(symbols, np.uint8)) for name, symbols in {"3": [3], "0": [0], "0 0": [0, 0]}.items()}
    long = zlib.compressobj(9, zlib.DEFLATED, -15)
    long = long.compress(bytes(1 << 24)) + long.flush()
    return {
        **{f"trailing byte, {format}": body + b"\0" for format, body in whole.items()},
        "unknown format": header("gzip", "int8", 3).replace(b"KDW2\1", b"KDW2\x63") + bytes(3),
        "unknown type": b"KDW2\0\x63\1\3" + bytes(12),
        "no such array": header("relative index", "float32", 1 << 62, 1 << 62) + b"\0" + formats._huffman(np.zeros(0, np.uint8)) * 2,
        "number without end": b"KDW2" + b"\xff" * 100_000,
        "gzip larger than its shape": header("gzip", "uint8", 10) + bomb,
        "gzip smaller than its shape": header("gzip", "uint8", 1 << 25) + bomb,
        "gzip cut": header("gzip", "uint8", 1 << 24) + bomb[:-9],
        "column beyond the row": header("CSR", "float32", 2, 3) + b"\1" + b"\0\1\1" + b"\3" + one,
        "row that begins before the last": header("CSR", "float32", 2, 3) + b"\1" + b"\0\2\1" + b"\0" + one,
        "column twice": header("CSR", "float32", 1, 3) + b"\2" + b"\0\2" + b"\1\1" + one * 2,
        "gap beyond the end": header("codebook", "float32", 3) + b"\1" + codes["3"] + b"\1" + one + codes["0"],
        "more gaps than told": header("codebook", "float32", 3) + b"\1" + codes["0 0"] + b"\1" + one + codes["0"],
        "index beyond the table": header("codebook", "float32", 3) + b"\1" + codes["0"] + b"\1" + one + codes["3"],
        "too few indices": header("codebook", "float32", 2) + b"\2" + b"\1" + one + codes["0"],
        "too few exponents": header("relative index", "float32", 2) + b"\2" + codes["3"] + bytes(6),
        "repetitions, coded": header("relative index", "uint8", 1 << 24) + formats._varint(1 << 24) + formats._varint(len(long)) + long,
        "more weights than numbers": header("relative index", "uint8", 3) + b"\4" + codes["0"] * 2,
        "weights without data": header("codebook", "float32", 1 << 30) + words + b"\1" + one + codes["0"],
        "a bool of 2": header("raw float32", "bool", 1) + b"\2",
        "16 in 4 bits": header("relative index", "int4", 1) + b"\1" + formats._huffman(np.array([32], np.uint8)),
    }


FORGED = forged()


@pytest.mark.parametrize("what", FORGED)
def test_forged_data_is_one_clear_error_and_takes_no_memory(what):
    data = sealed(FORGED[what])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"^data must be what encode wrote, whole and unchanged, got {len(data)} bytes: "):
            formats.decode(data)
        assert what in ("gzip smaller than its shape", "gzip cut") or tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: formats.encode(np.zeros(3, complex), "gzip"), "array must be an array of float32, .*, bool, got ndarray of complex128"),
        (lambda: formats.encode("weights", "gzip"), "array must be an array of float32, .*, got str of <U7"),
        (lambda: formats.encode([[1.0], [1.0, 2.0]], "gzip"), "array must be an array of float32, .*, got list of object"),
        (lambda: formats.encode(np.ma.masked_equal([0.0, 1.0], 0), "gzip"), "array must be .*, got MaskedArray of float64"),
        (lambda: formats.encode(np.zeros(3, np.float32), "zip"), "format must be one of raw float32, .*, relative index, .*, got 'zip'"),
        (lambda: formats.encoded_size(np.zeros(3, np.float32), None), "format must be one of .*, got None"),
        (lambda: formats.encode(np.zeros(3, np.int8), "gzip", bits=3), "bits must be None or 4, got 3"),
        (lambda: formats.encode(np.array([-8, 8], np.int8), "gzip", bits=4), r"array must be of int8 in -8..7, .*, got int8 in -8..8"),
        (lambda: formats.encode(np.zeros(3, np.uint8), "gzip", bits=4), r"array must be of int8 in -8..7, .*, got uint8"),
        (lambda: formats.decode("KDW2"), "data must be bytes, got str"),
        (lambda: formats.decode(b"PK\3\4 a zip file"), r"got 15 bytes: it does not begin with b'KDW2'"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_entropy_of_an_array():
    assert formats.entropy_bits(np.arange(256, dtype=np.uint8)) == 256 * 8, "all different: 8 bits each"
    assert formats.entropy_bits(np.zeros((3, 4), np.float32)) == 0 == formats.entropy_bits(np.zeros(0, np.float32))
    assert formats.entropy_bits(np.float32([0.0, -0.0])) == 2, "values are told apart by their bits"
    three_to_one = np.tile(np.int64([7, 7, 7, -1]), 100)
    assert formats.entropy_bits(three_to_one) == pytest.approx(300 * np.log2(4 / 3) + 100 * 2)
    with pytest.raises(ValueError, match="array must be an array of"):
        formats.entropy_bits(["a"])
