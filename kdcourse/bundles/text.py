"""The folder in which a text classifier travels: the model, its words and labels, and `classify.py`, which needs no TensorFlow."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from .. import litert
from ..keras_bridge import checked_graph
from ..runtime import quiet_start, stderr_held_back, versions
from .classify import Classifier

FORMAT = "kdcourse text bundle 1"
MODELS = {weights: f"model_{weights}.tflite" for weights in litert.WEIGHTS}
FILES = (*MODELS.values(), "vocabulary.txt", "labels.txt", "config.json", "classify.py", "MODEL_CARD.md")
# The settings of TextVectorization that Classifier.words repeats
COPIED = {
    "standardize": "lower_and_strip_punctuation",
    "split": "whitespace",
    "ngrams": None,
    "output_mode": "int",
    "ragged": False,
    "encoding": "utf-8",
}


def write(folder: str | os.PathLike, student, vectorizer, class_names, *, card: str) -> Path:
    """Write the deployment bundle of a text classifier; return its folder.

    It has the model twice (``model_float32.tflite``, ``model_int8.tflite``), ``vocabulary.txt`` (line i, counted from 0, is the word with
    the number i), ``labels.txt``, ``config.json``, ``classify.py`` and ``MODEL_CARD.md``. All of it is tried out before it takes its place:
    on a few texts the words are those of `vectorizer` and the logits those of `student`, as near as `litert.to_tflite` demands.

    Args:
        folder: where; a bundle that is there already is replaced.
        student: Keras 3 model that maps word numbers, shape ``(texts, words)``, to logits, such as `models.text_average`. A recurrent one
            must be built with ``unroll=True``.
        vectorizer: the adapted ``keras.layers.TextVectorization`` that the student was trained with, in its default settings.
        class_names: one a line in ``labels.txt``, in the order of the logits.
        card: Markdown, what a reader must know of the model; sizes, versions and how to run it are added.

    Raises:
        ValueError: an argument that is none of the above, or parts that do not fit together; `folder` exists and is no bundle, or holds
            other files, too.
        RuntimeError: as `litert.to_tflite`; or the bundle does not answer as the student.
    """
    folder = Path(folder).resolve()
    _check_place(folder)
    vocabulary, class_names = _checked_parts(student, vectorizer, class_names)
    if not isinstance(card, str) or not card.strip():
        raise ValueError(f"card must be a text in Markdown, got {card!r:.60}")

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-", ignore_cleanup_errors=True) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        for weights, name in MODELS.items():
            (new / name).write_bytes(litert.to_tflite(student, weights))
        config = {
            "format": FORMAT,
            "words": student.input_shape[1],
            "vocabulary": len(vocabulary),
            "classes": len(class_names),
            "models": list(MODELS.values()),
            "versions": versions(("kdcourse", "numpy", "ai-edge-litert", "keras", "tensorflow")),
        }
        texts = {
            "vocabulary.txt": "\n".join(vocabulary),
            "labels.txt": "\n".join(class_names),
            "config.json": json.dumps(config, indent=1),
            "classify.py": Path(__file__).with_name("classify.py").read_text(encoding="utf-8").rstrip("\n"),
        }
        for name, text in texts.items():
            (new / name).write_bytes(f"{text}\n".encode())
        (new / "MODEL_CARD.md").write_bytes(_card(card, new, config).encode())
        _try_out(new, student, vectorizer, vocabulary)
        _put(new, folder, old=Path(temporary, "old"))
    return folder


def _check_place(folder: Path) -> None:
    """Raise ValueError if something is at `folder` that must not be replaced."""
    if not folder.exists():
        return
    try:
        found = json.loads((folder / "config.json").read_bytes())["format"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != FORMAT:
        raise ValueError(f"folder must be a new one or a bundle to replace, got {folder}, which is neither")
    if others := sorted({path.name for path in folder.iterdir()} - {*FILES, "__pycache__"}):
        raise ValueError(f"folder must hold a bundle and nothing else to be replaced, got {folder} with {others[0]!r} in it")


def _put(new: Path, folder: Path, old: Path) -> None:
    """Rename `new` to `folder`; a bundle that is there goes to `old`, or stays when that fails."""
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise


def _checked_parts(student, vectorizer, class_names) -> tuple[list[str], list[str]]:
    """Return the vocabulary and the class names, after a look whether all parts fit together."""
    if checked_graph(student, "student").__name__ != "keras":
        raise ValueError(f"student must be a Keras 3 model, got {student.name} of tf_keras")
    quiet_start()
    import keras

    given, answer = student.input_shape, student.output_shape
    if not (isinstance(given, tuple) and isinstance(answer, tuple) and len(given) == len(answer) == 2 and None not in given[1:]):
        raise ValueError(f"student must map shape (texts, words) to (texts, classes), got {given} to {answer}")
    if given[0] is not None or student.inputs[0].dtype != "int32":
        raise ValueError(f"student must read any number of texts as int32, got {given[0]} and {student.inputs[0].dtype}")
    if rolled := [layer.name for layer in student.layers if getattr(layer, "unroll", True) is False]:
        raise ValueError(f"student must be built with unroll=True (the weights stay the same), got a loop in its layer {rolled[0]!r}")
    sizes = [layer.input_dim for layer in student.layers if isinstance(layer, keras.layers.Embedding)]
    if not sizes:
        raise ValueError(f"student must have an Embedding layer, got {student.name} without one")

    if not isinstance(vectorizer, keras.layers.TextVectorization):
        raise ValueError(f"vectorizer must be a keras.layers.TextVectorization, got {type(vectorizer).__name__}")
    config, vocabulary = vectorizer.get_config(), [str(word) for word in vectorizer.get_vocabulary()]
    for setting, default in COPIED.items():
        if config[setting] != default:
            raise ValueError(f"vectorizer must have {setting}={default!r}, which classify.py repeats, got {config[setting]!r}")
    if config["output_sequence_length"] != given[1]:
        raise ValueError(f"vectorizer must have output_sequence_length={given[1]}, as student, got {config['output_sequence_length']}")
    if not 2 < len(vocabulary) <= min(sizes):
        raise ValueError(f"vectorizer must be adapted and know at most student's {min(sizes)} words, got {len(vocabulary)}")
    if broken := [word for word in vocabulary if "\n" in word]:
        raise ValueError(f"vectorizer must know no word with a line break, got {broken[0]!r}")

    names = list(class_names) if not isinstance(class_names, str) else [class_names]
    if wrong := [name for name in names if not isinstance(name, str) or name.splitlines() != [name] or not name.strip()]:
        raise ValueError(f"class_names must be texts of one line, got {wrong[0]!r}")
    if len(names) != answer[1]:
        raise ValueError(f"class_names must have one name for each of student's {answer[1]} outputs, got {len(names)}")
    return vocabulary, names


def _try_out(folder: Path, student, vectorizer, vocabulary) -> None:
    """Raise RuntimeError if the bundle reads or answers a text otherwise than Keras."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(vocabulary[2:], count)) for count in (1, 20, 1000)]
    texts += ["", "?!", "Ünknown wörds, 未知 \N{SLIGHTLY SMILING FACE}", f"{texts[1].upper()}, (and) <{texts[0]}>!"]
    numbers = np.asarray(vectorizer(texts))
    expected = np.asarray(student(numbers.astype(np.int32), training=False))
    for weights, model in MODELS.items():
        with stderr_held_back():  # LiteRT tells that it uses XNNPACK
            classifier = Classifier(folder, model)
        for text, row in zip(texts, numbers, strict=True):
            if not np.array_equal(classifier.words(text)[0], row):
                raise RuntimeError(f"the bundle must read the same words as vectorizer, but differs on the text {text!r:.60}")
        gap = np.abs([classifier.logits(text) for text in texts] - expected).max()
        if not gap <= (most := litert.agreement(expected, weights)):
            raise RuntimeError(f"{model} must agree with student to {most:.1g}, but its answers differ by {gap:.1g}")


def _card(card: str, folder: Path, config: dict) -> str:
    """Return the model card: `card`, how to run the bundle, the sizes of its files, versions."""
    sizes = "\n".join(f"| {name} | {(folder / name).stat().st_size:,} |" for name in FILES if name != "MODEL_CARD.md")
    found = config["versions"]
    return f"""{card.strip()}

## How to run it

It needs two packages, and no TensorFlow:

    pip install numpy=={found["numpy"]} ai-edge-litert=={found["ai-edge-litert"]}
    python classify.py "a text"

From Python, in this folder:

    from classify import Classifier

    classifier = Classifier(".")  # or Classifier(".", "model_float32.tflite")
    classifier.probabilities("a text")

The first {config["words"]} words of a text are read; {config["vocabulary"] - 2:,} words are known. `classifier.known(text)` tells how
many known words were read; at 0 the answer says nothing about the text.

| file | bytes |
|---|---:|
{sizes}

Made with {", ".join(f"{name} {version}" for name, version in found.items() if version)}.
"""
