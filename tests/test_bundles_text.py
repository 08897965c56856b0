"""The deployment bundle reads and answers texts as Keras does, without TensorFlow, and refuses what does not fit together."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdcourse import litert, models, runtime
from kdcourse.bundles import classify_text
from kdcourse.bundles import folder as bundles_folder
from kdcourse.bundles import text as bundles_text
from kdcourse.bundles.text import Classifier

runtime.quiet_start()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

WORDS = 12
LABELS = ["sci.space", "rec.autos", "Politik & Übriges"]
CORPUS = [
    "the orbit of the shuttle, and the launch!",
    "The car's engine: a car that starts",
    "Ärger über die Wahl; élection présidentielle",
    "选举 和 政府 новости 🙂 car🙂 nul\0nul",
    "alpha beta alphabeta",
]
CARD = "# News reader\n\nFor a test."


@pytest.fixture(scope="module")
def vectorizer():
    layer = keras.layers.TextVectorization(60, output_sequence_length=WORDS)
    layer.adapt(CORPUS)
    return layer


def random_student(build=models.text_average, **sizes):
    runtime.set_seed(3)
    student = build(len(LABELS), **{"vocabulary": 60, "words": WORDS, "width": 24} | sizes)
    student.set_weights([np.random.default_rng(3).normal(size=weights.shape) for weights in student.get_weights()])
    return student


@pytest.fixture(scope="module")
def student():
    return random_student()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, student, vectorizer):
    return bundles_text.write(tmp_path_factory.mktemp("bundles") / "news", student, vectorizer, LABELS, card=CARD)


@pytest.fixture(scope="module")
def classifier(bundle):
    return Classifier(bundle)


def by_keras(vectorizer, texts):
    return np.asarray(vectorizer(tf.constant([text.encode("utf-8", "replace") for text in texts])))


def test_what_is_in_the_folder(bundle, vectorizer):
    assert sorted(path.name for path in bundle.iterdir()) == sorted(bundles_text.FILES)
    hashes = json.loads((bundle / "config.json").read_bytes())["sha256"]
    assert hashes == {
        name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in (*bundles_text.MODELS, "vocabulary.txt", "labels.txt")
    }
    assert (bundle / "vocabulary.txt").read_bytes().decode().split("\n")[:-1] == vectorizer.get_vocabulary()
    assert (bundle / "labels.txt").read_text(encoding="utf-8").split("\n")[:-1] == LABELS
    assert (bundle / "classify.py").read_bytes() == open(classify_text.__file__, "rb").read()
    card = (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith(CARD) and f"The first {WORDS} words of a text are read" in card
    assert '\n    python classify.py "a text"\n\n' in card
    assert f"    pip install numpy=={version('numpy')} ai-edge-litert=={version('ai-edge-litert')}" in card
    for name in bundles_text.FILES[:-1]:
        assert f"| {name} | {(bundle / name).stat().st_size:,} |" in card
    assert list(bundle.parent.iterdir()) == [bundle]  # nothing temporary stays


def test_the_int8_model_of_a_real_size_is_a_quarter(tmp_path):
    vectorizer = keras.layers.TextVectorization(output_sequence_length=200, vocabulary=[f"w{i}" for i in range(9_998)])
    folder = bundles_text.write(
        tmp_path / "new" / "folder", models.text_average(20), vectorizer, [f"label {i}" for i in range(20)], card=CARD
    )
    float32, int8 = ((folder / name).stat().st_size for name in bundles_text.MODELS)
    assert float32 > 4 * 320_660 > 3.9 * int8


SEPARATORS = st.sampled_from(
    [" ", "  ", "\t", "\n", "\r\n", "\v", "\f", "\0", "\x1c", "\x85", "\xa0", "\u2003", "\u2028", ",", "' ", "-", "_"]
)
PIECES = st.one_of(st.sampled_from(" ".join(CORPUS).split()), SEPARATORS, st.text(max_size=6), st.sampled_from("İIıſKÀß🙂👩‍🚀"))


@settings(max_examples=100)
@given(st.lists(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)), min_size=1, max_size=8))
def test_words_are_those_of_keras(classifier, vectorizer, texts):
    texts += [text.upper() for text in texts]
    found = [classifier.words(text) for text in texts]
    assert {(numbers.shape, numbers.dtype) for numbers in found} == {((1, WORDS), np.dtype(np.int32))}
    np.testing.assert_array_equal(np.concatenate(found), by_keras(vectorizer, texts))


def test_words_around_every_character(classifier, vectorizer):
    """Every character of the first 0x3000, every 7th of the others: it separates two words, vanishes between them, or belongs to them."""
    points = [*range(0x3000), *range(0x3000, 0x110000, 7)]
    texts = [f"{chr(point)} alpha{chr(point)}BETA" for point in points]  # a lone surrogate is read as a question mark, on both sides
    found = np.concatenate([classifier.words(text) for text in texts])
    np.testing.assert_array_equal(found, by_keras(vectorizer, texts))
    numbers = {word: number for number, word in enumerate(vectorizer.get_vocabulary())}
    both, one = found[ord(" ")][:2].tolist(), found[ord("!")][:2].tolist()
    assert (both, one) == ([numbers["alpha"], numbers["beta"]], [numbers["alphabeta"], 0])


def test_a_long_text_is_read_up_to_its_last_word(classifier, vectorizer):
    rng = np.random.default_rng(0)
    words = rng.choice(["the", "Car", "unheard-of", "!?", "选举", "--", "..."], 100_000)
    for text in (" ".join(words), "!? " * 100_000 + "car", "x" * 1_000_000):
        np.testing.assert_array_equal(classifier.words(text), by_keras(vectorizer, [text]))
    assert classifier.words("!? " * 100_000 + "car")[0, 0] == vectorizer.get_vocabulary().index("car")


def texts_of(count=40):
    rng, words = np.random.default_rng(1), " ".join(CORPUS).split()
    return [" ".join(rng.choice(words, length)) for length in rng.integers(0, 2 * WORDS, count)]


def test_answers_are_those_of_keras(bundle, student, vectorizer):
    texts = texts_of()
    expected = np.asarray(student(by_keras(vectorizer, texts)))
    for model, most in (("model_float32.tflite", 1e-5), ("model_int8.tflite", 0.02)):
        classifier = Classifier(bundle, model)
        assert classifier.class_names == LABELS
        logits = np.array([classifier.logits(text) for text in texts])
        assert (logits.shape, logits.dtype) == (expected.shape, np.float32)
        assert np.abs(logits - expected).max() < most * np.abs(expected).max()
    assert np.ptp(expected, axis=0).min() > 1  # the texts do get different answers


def test_answers_are_not_overwritten_by_the_next_one(classifier):
    first = classifier.logits(CORPUS[0])
    kept = first.copy()
    assert not np.array_equal(classifier.logits(CORPUS[1]), kept)
    np.testing.assert_array_equal(first, kept)


def test_probabilities_and_temperature(bundle, student, vectorizer):
    classifier, text = Classifier(bundle, "model_float32.tflite"), CORPUS[0]
    logits = np.asarray(student(by_keras(vectorizer, [text])))[0].astype(float)
    for temperature in (0.5, 1, 1.0, 4.0, np.float32(2)):
        odds = np.exp(logits / float(temperature))
        np.testing.assert_allclose(classifier.probabilities(text, temperature), odds / odds.sum(), atol=1e-5)
    np.testing.assert_array_equal(classifier.probabilities(text, 1e-320), np.eye(len(LABELS))[logits.argmax()])
    np.testing.assert_allclose(classifier.probabilities(text, 1e300), np.full(len(LABELS), 1 / len(LABELS)))


KNOWN = {
    "": 0,
    " \n\t": 0,
    "?!?": 0,
    "zzz qqq": 0,
    "the unheardof CAR": 2,
    "новости про 选举": 2,
    "🙂 👩‍🚀": 1,
    "q\ud800": 0,
    "\0" * 99: 0,
    "the " * 100_000: WORDS,
    "x" * 1_000_000: 0,
}


@pytest.mark.parametrize("model", bundles_text.MODELS)
@pytest.mark.parametrize(("text", "known"), KNOWN.items(), ids=range(len(KNOWN)))
def test_every_text_gets_a_finite_answer(bundle, model, text, known):
    classifier = Classifier(bundle, model)
    probabilities = classifier.probabilities(text)
    assert classifier.known(text) == known
    assert np.isfinite(classifier.logits(text)).all() and probabilities.min() >= 0 and probabilities.sum() == pytest.approx(1)


def test_a_text_without_a_known_word_gets_what_the_model_says_without_any(classifier, student):
    np.testing.assert_allclose(classifier.logits("?!"), student.get_weights()[-1], atol=1e-6)  # the biases of text_average
    np.testing.assert_array_equal(classifier.logits("zzz"), classifier.logits("qqq zzz"))


@pytest.mark.parametrize("text", [None, b"bytes", 3, ["a", "b"]])
def test_a_text_that_is_none(classifier, text):
    with pytest.raises(TypeError, match=f"text must be a str, got {type(text).__name__}"):
        classifier.logits(text)


@pytest.mark.parametrize("temperature", [0, -1, 0.0, float("nan"), float("inf"), "1", None])
def test_a_temperature_that_is_none(classifier, temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number > 0, got "):
        classifier.probabilities("car", temperature)


def edited(name, change):
    def damage(folder):
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def configured(**settings):
    return edited("config.json", lambda old: json.dumps(json.loads(old) | settings).encode())


def reversed_lines(old):
    return b"".join(old.splitlines(keepends=True)[::-1])


def no_tflite(folder):
    (folder / "model_int8.tflite").write_bytes(b"PK")
    config = json.loads((folder / "config.json").read_bytes())
    config["sha256"]["model_int8.tflite"] = hashlib.sha256(b"PK").hexdigest()
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda folder: shutil.rmtree(folder), FileNotFoundError, "folder must be a bundle with config.json in it, got "),
        (lambda folder: (folder / "vocabulary.txt").unlink(), FileNotFoundError, "a bundle with vocabulary.txt in it"),
        (lambda folder: (folder / "labels.txt").unlink(), FileNotFoundError, "a bundle with labels.txt in it"),
        (lambda folder: (folder / "model_int8.tflite").unlink(), FileNotFoundError, "a bundle with model_int8.tflite in it"),
        (edited("config.json", lambda old: old[:50]), ValueError, "config.json must tell words, models and sha256 in JSON, got JSONDec"),
        (edited("config.json", lambda old: b"[]"), ValueError, "config.json must tell words, models and sha256"),
        (edited("config.json", lambda old: b"\xff"), ValueError, "config.json must tell words, models and sha256"),
        (edited("config.json", lambda old: b"{}"), ValueError, "config.json must tell words, .* got KeyError"),
        (edited("config.json", lambda old: b"[" * 200_000), ValueError, "config.json must tell words, .* got RecursionError"),
        (configured(models=None), ValueError, "config.json must tell words, .* got TypeError"),
        (configured(models=["other.tflite"]), ValueError, r"model must be one of \['other.tflite'\], got 'model_int8.tflite'"),
        (configured(words=WORDS + 1), ValueError, f"model_int8.tflite must read {WORDS + 1} word numbers, got one that reads "),
        (configured(words="12"), ValueError, "model_int8.tflite must read 12 word numbers, got one that reads "),
        (configured(words=12.0), ValueError, "model_int8.tflite must read 12.0 word numbers, got one that reads "),
        # files that would answer, but do not belong together
        (edited("vocabulary.txt", reversed_lines), ValueError, "vocabulary.txt must be the file that the bundle was written with, .*"),
        (edited("vocabulary.txt", lambda old: old.replace(b"\n", b"\r\n")), ValueError, "vocabulary.txt must be the file that"),
        (edited("labels.txt", reversed_lines), ValueError, "labels.txt must be the file that the bundle was written with, as config.json"),
        (edited("labels.txt", lambda old: old[:-1] + b"\xff"), ValueError, "labels.txt must be the file that the bundle was written with"),
        (edited("model_int8.tflite", lambda old: old[:-200]), ValueError, "model_int8.tflite must be the file that the bundle was written"),
        (no_tflite, ValueError, "model_int8.tflite must be a .tflite file, got one that LiteRT refuses: "),
    ],
)
def test_a_damaged_bundle_is_told_in_one_sentence(bundle, tmp_path, damage, error, message):
    folder = shutil.copytree(bundle, tmp_path / "copy")
    Classifier(folder)
    damage(folder)
    with pytest.raises(error, match=message) as raised:
        Classifier(folder)
    assert "\n" not in str(raised.value)


def test_open_is_quiet_and_loads_no_tensorflow(bundle):
    code = "import sys; from kdcourse.bundles import text; text.{}(sys.argv[1]); print('tensorflow' in sys.modules)"
    done = {name: subprocess.run([sys.executable, "-c", code.format(name), bundle], capture_output=True) for name in ("Classifier", "open")}
    assert b"XNNPACK" in done["Classifier"].stderr  # LiteRT says so once in a process
    assert (done["open"].stdout, done["open"].stderr) == (b"False\n", b"")


def test_an_unknown_model(bundle):
    with pytest.raises(ValueError, match=r"model must be one of \['model_float32.tflite', 'model_int8.tflite'\], got 'model.tflite'"):
        Classifier(bundle, "model.tflite")


def run(folder, *arguments, given="", python=sys.executable):
    return subprocess.run([python, folder / "classify.py", *arguments], input=given.encode(), capture_output=True, timeout=300)


def test_the_command_line(bundle):
    for model, *option in (("model_int8.tflite",), ("model_float32.tflite", "--float32")):
        classifier = Classifier(bundle, model)
        done = run(bundle, CORPUS[0], "Élection", *option)
        expected = []
        for text in (CORPUS[0], "Élection"):
            probabilities = dict(zip(LABELS, classifier.probabilities(text), strict=True))
            ordered = sorted(probabilities, key=probabilities.get, reverse=True)
            expected += [
                *(f"{probabilities[label]:.3f}  {label}" for label in ordered),
                f"       {classifier.known(text)} known words read",
            ]
        assert (done.returncode, done.stdout.decode().splitlines()) == (0, expected)
        assert run(bundle, *option, given=f"{CORPUS[0]}\nÉlection\n").stdout == done.stdout
    *answer, timed = run(bundle, "--time", "car").stdout.decode().splitlines()
    median, p95 = (float(number) for number in timed.removesuffix(" ms").replace("ms, 95% of the runs below", "").split())
    assert len(answer) == 4 and 0 < median <= p95


def test_the_command_line_says_what_is_wrong(bundle, tmp_path):
    done = run(bundle, "--help")
    assert done.returncode == 1 and done.stderr.decode().startswith(classify_text.__doc__)
    folder = shutil.copytree(bundle, tmp_path / "copy")
    (folder / "labels.txt").write_text("one\n")
    done = run(folder, "car")
    assert done.returncode == 1 and done.stdout == b"" and b"Traceback" not in done.stderr
    assert (
        done.stderr.decode()
        .splitlines()[-1]
        .endswith("must be the file that the bundle was written with, as config.json tells, got another one")
    )


def vectors(words=WORDS, adapted=True, **settings):
    layer = keras.layers.TextVectorization(**{"output_sequence_length": words, "output_mode": "int"} | settings)
    if adapted:
        layer.adapt(CORPUS)
    return layer


def two_outputs():
    words = keras.Input((WORDS,), dtype="int32")
    x = keras.layers.Flatten()(keras.layers.Embedding(60, 4)(words))
    return keras.Model(words, [keras.layers.Dense(3)(x), keras.layers.Dense(3)(x)])


def reader(dtype="int32", batch=None, words=WORDS, embedded=True):
    given = keras.Input(batch_shape=(batch, words), dtype=dtype)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(60, 4)(given)) if embedded else keras.ops.cast(given, "float32")
    return keras.Model(given, keras.layers.Dense(3)(x), name="reader")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: {"class_names": LABELS[:2]}, "class_names must be one name for each of student's 3 outputs, got 2"),
        (lambda: {"class_names": "abc"}, "class_names must be a list of strings that are not empty, at least 1, got 'abc'"),
        (lambda: {"class_names": ["a", "b\nc", "d"]}, r"class_names must be texts of one line, got 'b\\nc'"),
        (
            lambda: {"class_names": ["a", "", "d"]},
            r"class_names must be a list of strings that are not empty, at least 1, got \['a', '', 'd'\]",
        ),
        (
            lambda: {"class_names": ["a", 7, "d"]},
            r"class_names must be a list of strings that are not empty, at least 1, got \['a', 7, 'd'\]",
        ),
        (lambda: {"card": " "}, "card must be a text in Markdown, got ' '"),
        (lambda: {"card": None}, "card must be a text in Markdown, got None"),
        (
            lambda: {"vectorizer": vectors(words=WORDS + 1)},
            f"vectorizer must have output_sequence_length={WORDS}, as student, got {WORDS + 1}",
        ),
        (
            lambda: {"vectorizer": vectors(standardize="lower")},
            "vectorizer must have standardize='lower_and_strip_punctuation', .* got 'lower'",
        ),
        (lambda: {"vectorizer": vectors(split="character")}, "vectorizer must have split='whitespace', .* got 'character'"),
        (lambda: {"vectorizer": vectors(ngrams=2)}, "vectorizer must have ngrams=None, .* got 2"),
        (lambda: {"vectorizer": vectors(output_mode="count", words=None)}, "vectorizer must have output_mode='int', .* got 'count'"),
        (lambda: {"vectorizer": vectors(encoding="latin-1", adapted=False)}, "vectorizer must have encoding='utf-8', .* got 'latin-1'"),
        (lambda: {"vectorizer": vectors(adapted=False)}, "vectorizer must be adapted and know at most student's 60 words, got 2"),
        (lambda: {"vectorizer": vectors(vocabulary=[f"w{i}" for i in range(59)], adapted=False)}, "at most student's 60 words, got 61"),
        (
            lambda: {"vectorizer": vectors(vocabulary=["a\nb", "c"], adapted=False)},
            r"vectorizer must know no word with a line break, got 'a\\nb'",
        ),
        (lambda: {"vectorizer": str.split}, "vectorizer must be a keras.layers.TextVectorization, got method_descriptor"),
        (lambda: {"student": "student"}, "student must be a keras or tf_keras model, got builtins.str"),
        (lambda: {"student": two_outputs()}, r"student must map shape \(texts, words\) to \(texts, classes\), got "),
        (
            lambda: {"student": models.student_mlp(4)},
            r"student must map shape \(texts, words\) to .* got \(None, 28, 28, 1\) to \(None, 10\)",
        ),
        (lambda: {"student": reader("float32")}, "student must read any number of texts as int32, got None and float32"),
        (lambda: {"student": reader(batch=4)}, "student must read any number of texts as int32, got 4 and int32"),
        (lambda: {"student": reader(words=None)}, r"student must map shape \(texts, words\) to .* got \(None, None\)"),
        (lambda: {"student": reader(embedded=False)}, "student must have an Embedding layer, got reader without one"),
        (
            lambda: {"student": random_student(models.text_gru)},
            r"student must be built with unroll=True \(the weights stay the same\), got a loop in its layer 'gru'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(tmp_path, student, vectorizer, change, message):
    given = {"student": student, "vectorizer": vectorizer, "class_names": LABELS, "card": CARD} | change()
    with pytest.raises(ValueError, match=message):
        bundles_text.write(tmp_path / "parent" / "news", given.pop("student"), given.pop("vectorizer"), given.pop("class_names"), **given)
    assert not (tmp_path / "parent").exists()


def test_a_tf_keras_student_is_refused(tmp_path, vectorizer):
    tf_keras = pytest.importorskip("tf_keras")
    other = tf_keras.Sequential(
        [tf_keras.layers.Input((WORDS,), dtype="int32"), tf_keras.layers.Embedding(60, 4), tf_keras.layers.Flatten()]
    )
    with pytest.raises(ValueError, match=r"student must be a Keras 3 model, got sequential\w* of tf_keras"):
        bundles_text.write(tmp_path / "news", other, vectorizer, LABELS, card=CARD)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_a_bundle_is_replaced(bundle, tmp_path, student, vectorizer):
    def again(folder):
        return bundles_text.write(folder, student, vectorizer, LABELS, card="# Second")

    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with_notes = shutil.copytree(bundle, tmp_path / "with_notes")
    (with_notes / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    for folder, message in (
        (own, "folder must be a new one or a bundle to replace, got .*own, which is neither"),
        (tmp_path / "file", "folder must be a new one or a bundle to replace"),
        (with_notes, "folder must be a bundle and nothing else to be replaced, got .*with_notes with 'notes.txt' in it"),
    ):
        with pytest.raises(ValueError, match=message):
            again(folder)
    assert contents(tmp_path) == before

    (with_notes / "notes.txt").unlink()
    (with_notes / "__pycache__").mkdir()  # Python makes it where classify.py is imported
    (tmp_path / "link").symlink_to(with_notes, target_is_directory=True)
    assert again(tmp_path / "link") == with_notes
    assert (with_notes / "MODEL_CARD.md").read_text().startswith("# Second")
    assert sorted(path.name for path in with_notes.iterdir()) == sorted(bundles_text.FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "own", "with_notes"]


def breaking(name, place):
    def break_it(monkeypatch):
        def fails(*_, **__):
            raise OSError("disk full")

        monkeypatch.setattr(place, name, fails)

    return break_it


def other_words(monkeypatch):
    right = Classifier.words
    monkeypatch.setattr(Classifier, "words", lambda self, text: right(self, text.strip("!")[:-1]))


def other_answers(monkeypatch):
    right = Classifier.logits
    monkeypatch.setattr(Classifier, "logits", lambda self, text: right(self, text) + 10)


def no_second_rename(error):
    def break_it(monkeypatch, right=os.replace):
        def replace(source, target):
            if os.path.basename(source) == "new":
                raise error
            right(source, target)

        monkeypatch.setattr(bundles_folder.os, "replace", replace)

    return break_it


converted_once = functools.cache(litert.to_tflite)  # seconds each time, and not what is looked at here


@pytest.mark.parametrize("there", [True, False], ids=["a bundle is there", "new"])
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (breaking("to_tflite", litert), "disk full"),
        (breaking("copyfile", bundles_folder.shutil), "disk full"),
        (no_second_rename(OSError("disk full")), "disk full"),
        (no_second_rename(KeyboardInterrupt("stop")), "stop"),
        (other_words, "the bundle must read the same words as vectorizer, but differs on the text "),
        (other_answers, "model_float32.tflite must agree with student to 0.00.*, but its answers differ by 10"),
    ],
)
def test_a_bundle_is_written_whole_or_not_at_all(bundle, tmp_path, student, vectorizer, monkeypatch, there, break_it, message):
    folder = tmp_path / "news"
    if there:
        shutil.copytree(bundle, folder)
    before = contents(tmp_path)
    monkeypatch.setattr(litert, "to_tflite", converted_once)
    break_it(monkeypatch)
    with pytest.raises((OSError, RuntimeError, KeyboardInterrupt), match=message):
        bundles_text.write(folder, student, vectorizer, LABELS, card="# Second")
    assert contents(tmp_path) == before and folder.exists() == there
    assert list(tmp_path.iterdir()) == ([folder] if there else [])


def test_a_convolution_in_a_bundle(tmp_path, vectorizer):
    student = random_student(models.text_cnn, filters=16)
    classifier = Classifier(bundles_text.write(tmp_path / "news", student, vectorizer, LABELS, card=CARD), "model_float32.tflite")
    texts = texts_of(10)
    np.testing.assert_allclose([classifier.logits(text) for text in texts], student(by_keras(vectorizer, texts)), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_recurrent_student_in_a_bundle(tmp_path):
    vectorizer = vectors(words=25)
    trained = random_student(models.text_gru, words=25)
    unrolled = models.text_gru(len(LABELS), vocabulary=60, words=25, width=24, unroll=True)
    trained.set_weights([weights / 4 for weights in trained.get_weights()])
    unrolled.set_weights(trained.get_weights())
    folder = bundles_text.write(tmp_path / "news", unrolled, vectorizer, LABELS, card=CARD)
    texts = [*texts_of(10), " ".join(CORPUS * 6)]
    expected = np.asarray(trained(by_keras(vectorizer, texts)))
    for model, most in (("model_float32.tflite", 1e-4), ("model_int8.tflite", 0.05)):
        classifier = Classifier(folder, model)
        assert np.abs([classifier.logits(text) for text in texts] - expected).max() < most * max(1, np.abs(expected).max())


ALONE = """
import importlib.util, json, sys
from classify import Classifier
texts = json.load(sys.stdin)
heavy = [name for name in ("tensorflow", "keras", "tf_keras", "kdcourse") if importlib.util.find_spec(name)]
answers = {}
for model in ("model_float32.tflite", "model_int8.tflite"):
    classifier = Classifier(".", model)
    answers[model] = [classifier.probabilities(text).tolist() for text in texts]
print(json.dumps({"heavy": heavy, "answers": answers}))
"""


@pytest.mark.slow
def test_the_bundle_runs_where_only_numpy_and_litert_are(bundle, tmp_path):
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [f"{name}=={version(name)}" for name in ("numpy", "ai-edge-litert")]
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], check=True, timeout=600)
    folder = shutil.copytree(bundle, tmp_path / "phone")
    texts = [*texts_of(), "", "?!", "zzz", "новости про 选举", "🙂 👩‍🚀", "the car " * 50_000]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", ALONE], input=json.dumps(texts), cwd=folder, env=clean, capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["heavy"] == []
    for model in bundles_text.MODELS:
        here = Classifier(bundle, model)
        np.testing.assert_allclose(found["answers"][model], [here.probabilities(text) for text in texts], rtol=0, atol=1e-5)
    done = run(folder, CORPUS[0], python=python)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4, done.stderr
