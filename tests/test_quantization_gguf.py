"""GGUF files: a small one made here, its directory and its blocks, and what is refused."""

import json
import re
import struct

import numpy as np
import pytest

from kdcourse.files import data_path
from kdcourse.quantization import gguf


def text(words):
    return struct.pack("<Q", len(words)) + words.encode()


def made(kind=3, version=3, raw=b""):
    """A file with metadata of several types and two tensors, of which the second begins at 64."""
    entries = [
        text("general.alignment") + struct.pack("<II", 4, 64),
        text("names") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc"),
        text("rate") + struct.pack("<If", 6, 0.5),
        text("yes") + struct.pack("<I?", 7, True),
    ]
    tensors = [text("norm") + struct.pack("<IQIQ", 1, 4, 0, 0), text("wide") + struct.pack("<IQQIQ", 2, 32, 2, kind, 64)]
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)) + b"".join(entries + tensors)
    header += bytes(-len(header) % 64)
    return header + np.arange(4, dtype="<f4").tobytes().ljust(64, b"\0") + raw


def test_the_directory_of_a_file():
    content = made(raw=bytes(40))
    found = gguf.directory(content)
    assert list(found) == ["norm", "wide"] and found["wide"].shape == (32, 2) and found["wide"].kind == "Q4_1"
    assert found["norm"].start % 64 == 0 and found["wide"].start == found["norm"].start + 64
    assert found["wide"].weights == 64 and found["wide"].bytes == 40 and found["wide"].start + 40 == len(content)
    norm = found["norm"]
    assert gguf.decoded(content[norm.start :][: norm.bytes], norm.kind).tolist() == [0, 1, 2, 3]


def half(*numbers):
    return np.array(numbers, "<f2").tobytes()


def test_blocks_as_by_hand():
    integers = np.arange(32) % 16
    packed = (integers[:16] | integers[16:] << 4).astype(np.uint8).tobytes()
    assert np.array_equal(gguf.decoded(half(0.5) + packed, "Q4_0"), 0.5 * (integers - 8))
    assert np.array_equal(gguf.decoded(half(0.5, -3) + packed, "Q4_1"), 0.5 * integers - 3)
    signed = np.arange(-16, 16, dtype=np.int8)
    assert np.array_equal(gguf.decoded(half(0.25) + signed.tobytes(), "Q8_0"), 0.25 * signed)
    assert np.array_equal(gguf.decoded(half(1, -2), "F16"), [1, -2])
    low_and_high = np.zeros(16, np.uint8)
    low_and_high[3] = 0x21  # the fourth weight is 1, the twentieth 2
    found = gguf.decoded(half(1, 0) + low_and_high.tobytes(), "Q4_1")
    assert found[3] == 1 and found[19] == 2 and found.sum() == 3


def test_the_kinds_cost_what_the_table_says():
    assert {kind: 8 * size / numbers for kind, (numbers, size) in gguf.SIZES.items()} == {
        "F32": 32, "F16": 16, "Q4_0": 4.5, "Q4_1": 5, "Q8_0": 8.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: gguf.directory(b"PK\x03\x04 and more"), "content must be a GGUF file, which begins with the letters GGUF, got b'PK"),
        (lambda: gguf.directory(made()[:90]), "content must hold the whole header of a GGUF file, got 90 bytes that end within it"),
        (lambda: gguf.directory(made(version=9)), "content must be a GGUF file of version 2 or 3, got version 9"),
        (lambda: gguf.directory(made(kind=12)), "wide must be stored as one of F32, F16, Q4_0, Q4_1, Q8_0, got kind number 12"),
        (lambda: gguf.decoded(bytes(19), "Q4_1"), "raw must be whole blocks of 20 bytes, as Q4_1 has, got 19 bytes"),
        (lambda: gguf.decoded(b"", "Q8_0"), "raw must be whole blocks of 34 bytes, as Q8_0 has, got 0 bytes"),
        (lambda: gguf.decoded(bytes(20), "Q5"), "kind must be one of F32, F16, Q4_0, Q4_1, Q8_0, got 'Q5'"),
    ],
)
def test_what_is_refused(call, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        call()


def test_the_excerpt_that_ships_is_that_of_the_file():
    shipped = json.loads(data_path("gguf", "smollm2-135m.json").read_text(encoding="utf-8"))
    tensors = [gguf.Tensor(tuple(shape), kind, start) for shape, kind, start in shipped["tensors"].values()]
    assert len(tensors) == 272 and max(one.start + one.bytes for one in tensors) == shipped["bytes"]
    assert sum(one.weights for one in tensors) == 134_515_008
    numbers = gguf.decoded(bytes.fromhex(shipped["blocks"]["blk.0.ffn_up.weight"]), "Q4_1")
    assert numbers.shape == (128,) and 0.01 < numbers.std() < 1
