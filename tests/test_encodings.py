"""Every format gives back the array to the bit, and its size is known without packing."""

import heapq
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdcourse import encodings, models

# -0.0, three NaNs, both infinities, the smallest and the largest number
SPECIAL = np.array([0x80000000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0x7F800000, 0xFF800000, 1, 0x7F7FFFFF], "<u4")


@st.composite
def arrays(draw):
    """Float32 arrays of any shape: dense or sparse, of few or many distinct values, special ones among them."""
    shape = tuple(draw(st.lists(st.integers(0, 12), max_size=4)))
    if draw(st.booleans()) and shape:
        shape = (*shape[:-1], draw(st.sampled_from([1, 255, 256, 257, 1000])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, size = draw(st.sampled_from(["any bits", "special", "few", "normal"])), int(np.prod(shape))
    words = {
        "any bits": rng.integers(0, 2**32, size, dtype=np.uint64).astype("<u4"),
        "special": rng.choice(SPECIAL, size),
        "few": rng.choice(rng.normal(size=draw(st.integers(1, 20))).astype(np.float32), size).view("<u4"),
        "normal": rng.normal(0, 0.05, size).astype(np.float32).view("<u4"),
    }[kind]
    kept = draw(st.sampled_from([0, 0.001, 0.01, 0.1, 0.5, 0.9, 1]))
    return np.where(rng.random(size) < kept, words, 0).astype("<u4").view(np.float32).reshape(shape)


def holds(array, format):
    data = encodings.encode(array, format)
    back = encodings.decode(data)
    assert (back.shape, back.dtype) == (array.shape, np.float32)
    assert back.tobytes() == array.tobytes()  # the bits: NaN is not equal to itself, and -0.0 equals 0.0
    assert encodings.encoded_size(array, format) == len(data)
    return data


@settings(deadline=None, max_examples=300)
@given(array=arrays(), format=st.sampled_from(encodings.FORMATS))
def test_decode_gives_back_the_bits_and_the_size_is_known(array, format):
    holds(array, format)


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


@pytest.mark.parametrize("format", encodings.FORMATS)
@pytest.mark.parametrize("name", EDGES)
def test_edges(name, format):
    array = EDGES[name]
    holds(array, format)
    encodings.decode(encodings.encode(array, format))[...] = 1  # what comes back may be written to


def test_the_longest_codes():
    # Fibonacci counts give the longest codes that there are: 20 bits for the rarest here
    counts = [1, 1]
    while len(counts) < 21:
        counts.append(counts[-1] + counts[-2])
    assert encodings._code_lengths(np.array(counts)).tolist() == [20, *range(20, 0, -1)]
    values = np.repeat(np.arange(1, 22, dtype=np.float32), counts)
    np.random.default_rng(0).shuffle(values)
    data = holds(values, "codebook")
    assert len(data) == pytest.approx(np.dot(counts, [20, *range(20, 0, -1)]) / 8, abs=150)


def test_huffman_is_as_short_as_the_textbook_says():
    rng = np.random.default_rng(1)
    for symbols in (1, 2, 3, 10, 300):
        counts = rng.integers(1, 1000, symbols)
        lengths = encodings._code_lengths(counts)
        heap, cost = counts.tolist(), 0
        heapq.heapify(heap)
        while len(heap) > 1:  # the cost is the sum of all merged counts
            merged = heapq.heappop(heap) + heapq.heappop(heap)
            heapq.heappush(heap, merged)
            cost += merged
        assert counts @ lengths == cost
        assert np.sum(2.0**-lengths) == 1  # Kraft: the code is complete


@pytest.fixture(scope="module")
def kernels():
    return {layer.name: layer.kernel.numpy() for layer in models.load_trained("mnist-5k-lenet5").layers if hasattr(layer, "kernel")}


def pruned(array, sparsity):
    return np.where(np.abs(array) >= np.quantile(np.abs(array), sparsity), array, 0).astype(np.float32)


def test_what_wins_on_trained_weights(kernels):
    array = kernels["dense1"]
    assert array.size == 400_000
    size = {s: {f: len(holds(pruned(array, s), f)) for f in encodings.FORMATS} for s in (0, 0.5, 0.8, 0.95)}
    assert all(sizes["raw float32"] == 1_600_014 for sizes in size.values())  # pruning alone makes nothing smaller
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
    header = 4 + 1 + 1 + (1 + 2) + 4  # name, format, axes, 10 and 300, checksum
    assert encodings.encoded_size(array, "raw float32") == header + 4 * 3000
    assert encodings.encoded_size(array, "bitmask") == header + 3000 // 8 + 4 * 500
    assert encodings.encoded_size(array, "CSR") == header + 2 + 11 * 2 + 500 * (2 + 4)


@pytest.mark.parametrize("format", encodings.FORMATS)
def test_damage_is_one_clear_error(format):
    data = encodings.encode(pruned(np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32), 0.7), format)
    damaged = [data[:end] for end in range(0, len(data), 7)] + [data + b"\0"]
    for place in range(0, len(data), 5):
        damaged.append(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
    for bad in damaged:
        with pytest.raises(ValueError, match=f"data must be what encode wrote, whole and unchanged; got {len(bad)} bytes"):
            encodings.decode(bad)


def test_a_format_of_the_future_is_the_same_error():
    body = encodings.encode(np.zeros(3, np.float32), "raw float32")[:-4].replace(b"KDW1\0", b"KDW1\x63")
    with pytest.raises(ValueError, match="data must be what encode wrote, whole and unchanged; got 23 bytes"):
        encodings.decode(body + zlib.crc32(body).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encodings.encode(np.zeros(3), "gzip"), "array must be of float32, got float64"),
        (lambda: encodings.encoded_size(np.zeros(3, ">f4"), "gzip"), "array must be of float32, got >f4"),
        (lambda: encodings.encode(np.zeros(3, np.float32), "zip"), "format must be one of .*'relative index'.*, got 'zip'"),
        (lambda: encodings.encoded_size(np.zeros(3, np.float32), None), "format must be one of .*, got None"),
        (lambda: encodings.decode("KDW1"), "data must be bytes, got str"),
        (lambda: encodings.decode(b"PK\3\4 a zip file"), r"got 15 bytes: it does not begin with b'KDW1'"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
