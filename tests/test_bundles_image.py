"""The deployment bundle of an image classifier: it prepares, reads and answers as the course does, and refuses what does not fit."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdcourse import datasets, litert, measure, models, runtime, training
from kdcourse.bundles import classify_image
from kdcourse.bundles import image as bundles_image
from kdcourse.bundles.image import Classifier, centred

CARD = "# Digit reader\n\nFor a test."
DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def data():
    return datasets.load("mnist-5k")


@pytest.fixture(scope="module")
def phone():
    return models.load_trained("mnist-5k-phone")


@pytest.fixture(scope="module")
def parts(data, phone):
    """(int8 file, float32 file, examples, expected logits) of the shipped network."""
    examples = data.x_train[:60]
    return litert.to_tflite(phone, "int8", data.x_train[:200]), litert.to_tflite(phone), examples, training.logits(phone, examples)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, parts):
    int8, float32, examples, expected = parts
    folder = tmp_path_factory.mktemp("bundles") / "digits"
    return bundles_image.write(folder, int8, DIGITS, card=CARD, examples=examples, expected=expected, original=float32)


@pytest.fixture(scope="module")
def colours():
    """A float32 file of another shape, 20x24x3, and four classes; untrained."""
    runtime.set_seed(1)
    return litert.to_tflite(models.image_cnn((20, 24, 3), classes=4, filters=2, units=4))


def test_what_is_in_the_folder(bundle, parts):
    there = {"model.tflite", "model_float32.tflite", "labels.txt", "config.json", "classify.py", "MODEL_CARD.md"}
    assert {path.name for path in bundle.iterdir()} == there and list(bundle.parent.iterdir()) == [bundle]
    assert (bundle / "model.tflite").read_bytes() == parts[0] and (bundle / "model_float32.tflite").read_bytes() == parts[1]
    assert (bundle / "classify.py").read_bytes() == Path(classify_image.__file__).read_bytes()
    config = json.loads((bundle / "config.json").read_bytes())
    assert (config["shape"], config["prepare"], config["range"], config["classes"]) == ([28, 28, 1], "mnist", [0, 1], 10)
    assert config["sha256"]["model.tflite"] == hashlib.sha256(parts[0]).hexdigest()
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    assert card.startswith(CARD) and "python classify.py picture.png" in card and "--original" in card
    assert f"| model.tflite | {len(parts[0]):,} |" in card and f"ai-edge-litert=={version('ai-edge-litert')}" in card


@pytest.mark.parametrize("model", ["model.tflite", "model_float32.tflite"])
def test_answers_are_those_of_litert(bundle, data, model):
    """Bytes that LiteRT reads in batches elsewhere; fast routines may differ by one step of the integers."""
    classifier, x = bundles_image.open(bundle, model), data.x_test[:100]
    tflite = (bundle / model).read_bytes()
    expected = litert.predict(tflite, x)
    found = np.array([classifier.logits(image, as_is=True) for image in x])
    step = litert.contents(tflite).tensors[litert.contents(tflite).outputs[0]].scale
    assert found.dtype == np.float32 and np.abs(found - expected).max() <= (1.01 * step[0] if len(step) else 1e-3)
    as_bytes = np.array([classifier.logits(np.rint(255 * image).astype(np.uint8), as_is=True) for image in x[:20]])
    np.testing.assert_allclose(as_bytes, found[:20], atol=1e-4)  # MNIST's pixels are bytes
    p = classifier.probabilities(x[0], 2.0, as_is=True)
    odds = np.exp(found[0].astype(float) / 2)
    np.testing.assert_allclose(p, odds / odds.sum(), atol=1e-6)
    np.testing.assert_allclose(classifier.probabilities(x[0], 1e-300, as_is=True), np.eye(10)[found[0].argmax()])


def test_a_digit_of_mnist_stays_where_it_is(data):
    """MNIST was made so: the box of the ink has 20 pixels on its longer side, the centre of mass lies at 13.5 to 14.5 of 0 to 27."""
    stays = []
    for image in data.x_test[::10, ..., 0]:
        again = centred(image)
        for axis in (0, 1):
            before, after = ((one.sum(axis) @ np.arange(28)) / one.sum() for one in (image, again))
            assert 13.49 < after < 14.51
            stays.append(abs(after - before) < 0.2)
        assert again.shape == (28, 28) and again.dtype == np.float32 and 0 <= again.min() and again.max() <= 1
    assert np.mean(stays) > 0.9


def test_centring_takes_back_place_size_and_colours(bundle, data):
    """Digits on a large bright page, small, anywhere: as they are they would be lost, centred they are read nearly as well as before."""
    classifier, rng = bundles_image.open(bundle), np.random.default_rng(0)
    x, y = data.x_test[::4], data.y_test[::4]
    right = plain = 0
    for image, label in zip(x[..., 0], y, strict=True):
        page = np.zeros((150, 180), np.uint8)
        size = int(rng.integers(40, 100))
        top, left = rng.integers(0, 150 - size), rng.integers(0, 180 - size)
        page[top : top + size, left : left + size] = np.asarray(Image.fromarray(np.rint(255 * image).astype(np.uint8)).resize((size, size)))
        right += classifier.logits(255 - page).argmax() == label
        small = np.asarray(Image.fromarray(page).resize((28, 28)), np.float32)[..., None] / 255
        plain += classifier.logits(small, as_is=True).argmax() == label
    assert right / len(x) > 0.93 and plain / len(x) < 0.6


def test_centring_by_hand():
    assert not centred(np.zeros((5, 9))).any() and not centred(np.ones((5, 9))).any()  # nothing on it
    square = np.zeros((50, 50))
    square[3:13, 30:40] = 1
    wanted = np.zeros((28, 28))
    wanted[4:24, 4:24] = 1
    np.testing.assert_allclose(centred(square), wanted, atol=1e-6)
    np.testing.assert_allclose(centred(1 - square), wanted, atol=1e-6)
    bar = np.zeros((60, 60))
    bar[10:50, 20:24] = 0.5  # 40 by 4 becomes 20 by 2
    found = centred(bar)
    assert found[4:24, 13:15].min() == found[4:24, 13:15].max() == 0.5 and found.sum() == pytest.approx(20)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_pictures_are_read_as_pillow_reads_them(tmp_path, mode):
    rng = np.random.default_rng(0)
    channels = len(mode)
    smooth = np.cumsum(rng.integers(0, 3, (23, 31, channels)), axis=1) + np.arange(23)[:, None, None]  # lets the writer use all filters
    for name, pixels in {"noise": rng.integers(0, 256, (23, 31, channels)), "smooth": smooth % 256}.items():
        picture = Image.fromarray(np.squeeze(pixels.astype(np.uint8)), mode)
        picture.save(tmp_path / f"{name}.png")
        on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")
        found = classify_image._pixels(tmp_path / f"{name}.png")
        wanted = np.asarray(on_white, np.float32) / 255
        np.testing.assert_allclose(np.broadcast_to(found, wanted.shape), wanted, atol=0.51 / 255 if "A" in mode else 1e-6)
    if mode in ("L", "RGB"):
        ending = {"L": "pgm", "RGB": "ppm"}[mode]
        picture.save(tmp_path / f"p.{ending}")
        np.testing.assert_array_equal(classify_image._pixels(tmp_path / f"p.{ending}"), found)


def test_every_filter_of_a_png():
    """By hand, from the sums that the standard gives; 2 bytes a pixel."""
    above, line = np.array([10, 20, 30, 40, 250, 60], np.uint8), np.array([1, 2, 3, 4, 5, 6], np.uint8)
    given = {0: [1, 2, 3, 4, 5, 6], 1: [1, 2, 4, 6, 9, 12], 2: [11, 22, 33, 44, 255, 66]}
    given |= {3: [6, 12, 21, 30, 140, 51], 4: [11, 22, 33, 44, 255, 66]}
    for kind, wanted in given.items():
        assert classify_image._unfiltered(kind, line, above, 2).tolist() == wanted, kind


def test_nothing_assumes_grey_digits(tmp_path, colours):
    rng = np.random.default_rng(0)
    x = rng.random((5, 20, 24, 3), np.float32)
    folder = bundles_image.write(tmp_path / "b", colours, list("abcd"), card=CARD, examples=x, prepare="nothing")
    classifier = bundles_image.open(folder)
    np.testing.assert_allclose([classifier.logits(one) for one in x], litert.predict(colours, x), atol=1e-4)
    assert not (folder / "model_float32.tflite").exists() and classifier.class_names == list("abcd")
    with pytest.raises(ValueError, match=r"picture must have shape \(20, 24, 3\), got \(28, 28, 3\)"):
        classifier.logits(np.zeros((28, 28), np.uint8))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arguments(parts, **changes):
    given = {"tflite": parts[0], "class_names": DIGITS, "card": CARD, "examples": parts[2], "expected": parts[3]} | changes
    return (given.pop("tflite"), given.pop("class_names")), given


BAD = {
    "no file": ({"tflite": b"PK"}, ValueError, "tflite must be the bytes of a .tflite file"),
    "no bytes": ({"tflite": None}, ValueError, "tflite must be the bytes of a .tflite file, got None"),
    "names": ({"class_names": DIGITS[:9]}, ValueError, "class_names must be one name for each of tflite's 10 outputs, got 9"),
    "card": ({"card": " "}, ValueError, "card must be a text in Markdown"),
    "prepare": ({"prepare": "centre"}, ValueError, "prepare must be one of mnist, nothing, got 'centre'"),
    "range": ({"examples": np.full((2, 28, 28, 1), 255.0), "expected": None}, ValueError, "pixels in 0..1, got 255 to 255: divide pixels"),
    "shape": ({"examples": np.zeros((2, 28, 28)), "expected": None}, ValueError, "examples must have shape"),
    "NaN": ({"examples": np.full((2, 28, 28, 1), np.nan), "expected": None}, ValueError, "examples must"),
    "expected": ({"expected": np.zeros((3, 10))}, ValueError, "expected must have shape"),
    "original": ({"original": b"PK"}, ValueError, "original must be the bytes of a .tflite file"),
}


@pytest.mark.parametrize("there", [True, False], ids=["a bundle is there", "new"])
@pytest.mark.parametrize(("changes", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_leaves_the_disk_as_it_was(bundle, parts, tmp_path, there, changes, error, message):
    folder = tmp_path / "digits"
    if there:
        shutil.copytree(bundle, folder)
    before = contents(tmp_path)
    positional, named = arguments(parts, **changes)
    with pytest.raises(error, match=message) as raised:
        bundles_image.write(folder, *positional, **named)
    assert "\n" not in str(raised.value) and contents(tmp_path) == before and folder.exists() == there


def test_what_does_not_answer_as_it_should_is_not_written(bundle, parts, colours, tmp_path, monkeypatch):
    folder = shutil.copytree(bundle, tmp_path / "digits")
    before = contents(tmp_path)
    positional, named = arguments(parts, expected=-parts[3])
    with pytest.raises(RuntimeError, match="tflite must give the expected answer to 90% of the examples, but does so for"):
        bundles_image.write(folder, *positional, **named)
    positional, named = arguments(parts, original=colours)
    with pytest.raises(ValueError, match="original must read and answer in the shapes of tflite"):
        bundles_image.write(folder, *positional, **named)
    with pytest.raises(ValueError, match="prepare must be 'nothing' for images that are not square and grey"):
        bundles_image.write(folder, colours, list("abcd"), card=CARD, examples=np.zeros((1, 20, 24, 3)))
    right = Classifier.logits
    monkeypatch.setattr(Classifier, "logits", lambda self, *what, **how: right(self, *what, **how) + 10)
    positional, named = arguments(parts)
    with pytest.raises(RuntimeError, match="model.tflite must agree with LiteRT outside of the bundle to .*, but its answers differ by"):
        bundles_image.write(folder, *positional, **named)
    assert contents(tmp_path) == before


def test_only_a_bundle_is_replaced(bundle, parts, tmp_path):
    positional, named = arguments(parts)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="folder must be a new one or a bundle to replace"):
        bundles_image.write(tmp_path / "own", *positional, **named)
    with_notes = shutil.copytree(bundle, tmp_path / "with_notes")
    (with_notes / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="folder must be a bundle and nothing else to be replaced, got .* with 'notes.txt' in it"):
        bundles_image.write(with_notes, *positional, **named)
    (with_notes / "notes.txt").unlink()
    bundles_image.write(with_notes, *positional, **named)
    assert not (with_notes / "model_float32.tflite").exists()  # the old one's original went with it


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda f: shutil.rmtree(f), FileNotFoundError, "folder must be a bundle with config.json in it"),
        (lambda f: (f / "labels.txt").unlink(), FileNotFoundError, "a bundle with labels.txt in it"),
        (lambda f: (f / "config.json").write_text("{}"), ValueError, "config.json must tell shape, prepare, models and sha256"),
        (lambda f: (f / "model.tflite").write_bytes(b"PK"), ValueError, "model.tflite must be the file that the bundle was written with"),
        (lambda f: (f / "labels.txt").write_text("9\n8\n"), ValueError, "labels.txt must be the file that the bundle was written with"),
    ],
)
def test_a_damaged_bundle_is_told_in_one_sentence(bundle, tmp_path, damage, error, message):
    folder = shutil.copytree(bundle, tmp_path / "copy")
    damage(folder)
    with pytest.raises(error, match=message) as raised:
        Classifier(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (
            np.full((28, 28), 255.0),
            ValueError,
            "picture must hold floats in 0..1, got 255: divide pixels of 0..255 by 255, or pass them as",
        ),
        (np.full((28, 28), np.nan), ValueError, "picture must hold floats in 0..1, got NaN"),
        (np.zeros((28, 28), int), ValueError, "picture must hold uint8 in 0..255 or floats in 0..1, got int64"),
        (np.zeros((28, 28, 2)), ValueError, r"picture must have shape \(height, width\) or"),
        (np.zeros(28), ValueError, r"picture must have shape \(height, width\) or"),
        ("nothing.png", FileNotFoundError, "picture must be a file, got nothing.png"),
        ("classify.py", ValueError, "picture must be a .png, .pgm, .ppm or .npy file, got"),
    ],
)
def test_what_is_no_picture(bundle, picture, error, message):
    classifier = bundles_image.open(bundle)
    if isinstance(picture, str) and picture == "classify.py":
        picture = bundle / picture
    with pytest.raises(error, match=message):
        classifier.logits(picture)


def test_a_broken_picture(bundle, tmp_path):
    classifier = bundles_image.open(bundle)
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    Image.fromarray(np.zeros((30, 30), np.uint8)).convert("P").save(tmp_path / "palette.png")
    (tmp_path / "half.png").write_bytes(whole[:50])
    (tmp_path / "text.png").write_bytes(b"hello")
    (tmp_path / "p2.pgm").write_bytes(b"P2\n2 2\n255\n0 0 0 0\n")
    (tmp_path / "short.pgm").write_bytes(b"P5\n20 20\n255\n00")
    (tmp_path / "empty.pgm").write_bytes(b"P5")
    for name in ("objects.npy", "palette.png", "half.png", "text.png", "p2.pgm", "short.pgm", "empty.pgm"):
        with pytest.raises(ValueError, match=f"{name} must be a whole picture that can be read here, got: ") as raised:
            classifier.logits(tmp_path / name)
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="temperature must be a finite number > 0, got 0"):
        classifier.probabilities(tmp_path / "whole.png", 0)


def run(folder, *arguments, python=sys.executable):
    return subprocess.run([python, folder / "classify.py", *map(str, arguments)], capture_output=True, timeout=300)


def a_page(data, path):
    """A digit on a large white page, as a PNG."""
    page = np.full((90, 120), 255, np.uint8)
    page[20:76, 30:86] = 255 - np.kron(np.rint(255 * data.x_test[0, ..., 0]).astype(np.uint8), np.ones((2, 2), np.uint8))
    Image.fromarray(page).save(path)
    return path


def test_the_command_line(bundle, data, tmp_path):
    picture = a_page(data, tmp_path / "page.png")
    for model, *option in (("model.tflite",), ("model_float32.tflite", "--original")):
        p = bundles_image.open(bundle, model).probabilities(picture)
        done = run(bundle, *option, picture)
        assert done.stdout.decode().splitlines() == [f"{p[best]:.3f}  {best}" for best in p.argsort()[::-1][:3]]
        assert p.argmax() == data.y_test[0]
    np.save(tmp_path / "digit.npy", data.x_test[0])
    assert run(bundle, "--as-is", tmp_path / "digit.npy").stdout.decode().split()[1] == str(data.y_test[0])
    *answer, timed = run(bundle, "--time", picture).stdout.decode().splitlines()
    median, p95 = (float(number) for number in timed.removesuffix(" ms").replace("ms, 95% of the runs below", "").split())
    assert len(answer) == 3 and 0 < median <= p95
    done = run(bundle)
    assert done.returncode == 1 and done.stderr.decode().startswith(classify_image.__doc__)
    done = run(bundle, "nothing.png")
    assert done.returncode == 1 and b"Traceback" not in done.stderr and b"picture must be a file" in done.stderr


def test_open_is_quiet_and_loads_no_tensorflow(bundle):
    code = "import sys; from kdcourse.bundles import image; image.open(sys.argv[1]); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, bundle], capture_output=True)
    assert (done.stdout, done.stderr) == (b"False\n", b"")


ALONE = """
import importlib.util, json
import numpy as np
from classify import Classifier
heavy = [name for name in ("tensorflow", "keras", "PIL", "kdcourse") if importlib.util.find_spec(name)]
images = np.load("images.npy")
found = {m: [Classifier(".", m).logits(x, as_is=True).tolist() for x in images] for m in ("model.tflite", "model_float32.tflite")}
print(json.dumps({"heavy": heavy, "found": found}))
"""


@pytest.mark.slow
def test_the_bundle_runs_where_only_numpy_and_litert_are(bundle, data, tmp_path):
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [f"{name}=={version(name)}" for name in ("numpy", "ai-edge-litert")]
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], check=True, timeout=600)
    folder, images = shutil.copytree(bundle, tmp_path / "phone"), data.x_test[:50]
    np.save(folder / "images.npy", images)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([python, "-c", ALONE], cwd=folder, env=clean, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["heavy"] == []
    for model, found in told["found"].items():
        here = bundles_image.open(bundle, model)
        np.testing.assert_allclose(found, [here.logits(image, as_is=True) for image in images], rtol=0, atol=1e-4)
        assert measure.accuracy(found, data.y_test[:50]) > 0.9
    done = run(folder, a_page(data, tmp_path / "page.png"), python=python)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3, done.stderr
