"""A text classifier that needs numpy and ai-edge-litert, and the files beside this one. No TensorFlow.

    python classify.py "The shuttle reached its orbit."      prints the three most likely labels
    python classify.py < texts.txt                           does so for every line
    python classify.py --time "The shuttle reached ..."      tells how long one answer takes, too

The option --float32 reads model_float32.tflite instead of model_int8.tflite.
"""

import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

LOWER = bytes(range(65)) + b"abcdefghijklmnopqrstuvwxyz" + bytes(range(91, 256))  # A to Z become a to z, other bytes stay
PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"


class Classifier:
    """One of the models of a bundle; `folder` holds the files, `model` is the name of a .tflite file in it.

    FileNotFoundError or ValueError say in one sentence which file is missing or does not fit.
    """

    def __init__(self, folder=".", model="model_int8.tflite"):
        """Read the files and let LiteRT make the model ready for one text at a time."""
        folder = Path(folder)
        try:
            config = json.loads(_read(folder, "config.json"))
            self.length, models, sha256 = config["words"], list(config["models"]), dict(config["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{folder / 'config.json'} must tell words, models and sha256 in JSON, got {error!r:.80}") from None
        if model not in models:
            raise ValueError(f"model must be one of {models}, got {model!r}")
        vocabulary, labels, content = (_read(folder, name, sha256) for name in ("vocabulary.txt", "labels.txt", model))
        self.number = {word: number for number, word in enumerate(vocabulary.removesuffix(b"\n").split(b"\n"))}
        self.class_names = labels.decode("utf-8").splitlines()
        try:
            self.model = Interpreter(model_content=content, num_threads=1)
            self.model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"{folder / model} must be a .tflite file, got one that LiteRT refuses: {reason}") from None
        given, answer = self.model.get_input_details()[0], self.model.get_output_details()[0]
        self.given, self.answer = given["index"], answer["index"]
        if not isinstance(self.length, int) or (*given["shape"], given["dtype"]) != (1, self.length, np.int32):
            raise ValueError(f"{folder / model} must read {self.length} word numbers, got one that reads {given['shape']} {given['dtype']}")

    def words(self, text: str) -> np.ndarray:
        """Return the numbers of the first words, int32, shape (1, words): 0 fills up, 1 is a word outside the vocabulary.

        This is what Keras's TextVectorization does: A to Z in lower case, ASCII punctuation left out, split at ASCII white space. It
        works on the bytes of UTF-8, so letters outside ASCII pass unchanged.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {type(text).__name__}")
        found = text.encode("utf-8", errors="replace").translate(LOWER, PUNCTUATION).split(None, self.length)[: self.length]
        numbers = np.zeros((1, self.length), np.int32)
        numbers[0, : len(found)] = [self.number.get(word, 1) for word in found]
        return numbers

    def known(self, text: str) -> int:
        """Return how many of the words that are read are in the vocabulary. At 0 the answer says nothing about the text."""
        return int((self.words(text) > 1).sum())

    def logits(self, text: str) -> np.ndarray:
        """Return the model's logits, float32, shape (classes,)."""
        self.model.set_tensor(self.given, self.words(text))
        self.model.invoke()
        return self.model.get_tensor(self.answer)[0]

    def probabilities(self, text: str, temperature: float = 1.0) -> np.ndarray:
        """Return softmax(logits / temperature), float64, shape (classes,)."""
        if not isinstance(temperature, int | float | np.number) or not 0 < temperature < float("inf"):
            raise ValueError(f"temperature must be a finite number > 0, got {temperature!r}")
        logits = self.logits(text).astype(np.float64)
        with np.errstate(over="ignore"):  # a tiny temperature makes minus infinity, whose exp is 0
            odds = np.exp((logits - logits.max()) / temperature)
        return odds / odds.sum()


def _read(folder: Path, name: str, sha256: dict | None = None) -> bytes:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"folder must be a bundle with {name} in it, got {folder}")
    content = (folder / name).read_bytes()
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256.get(name):
        raise ValueError(f"{folder / name} must be the file that the bundle was written with, as config.json tells, got another one")
    return content


def latency(classifier: Classifier, text: str, runs: int = 2000) -> tuple[float, float]:
    """Return the milliseconds from a text to its logits: the median, and what 95% of the runs stay below. A warm-up is not counted."""
    seconds = []
    for _ in range(runs + runs // 10):
        began = time.perf_counter()
        classifier.logits(text)
        seconds.append(time.perf_counter() - began)
    median, p95 = np.quantile(seconds[runs // 10 :], (0.5, 0.95)) * 1e3
    return float(median), float(p95)


def main(arguments: list[str]) -> None:
    """Answer the texts of the command line or, without any, each line of standard input."""
    options = {argument for argument in arguments if argument.startswith("--")}
    if options - {"--time", "--float32"}:
        sys.exit(__doc__)
    try:
        classifier = Classifier(Path(__file__).parent, "model_float32.tflite" if "--float32" in options else "model_int8.tflite")
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    for text in [argument for argument in arguments if argument not in options] or sys.stdin:
        probabilities = classifier.probabilities(text)
        for best in probabilities.argsort()[::-1][:3]:
            print(f"{probabilities[best]:.3f}  {classifier.class_names[best]}")
        print(f"       {classifier.known(text)} known words read", flush=True)
        if "--time" in options:
            print("       {:.3f} ms, 95% of the runs below {:.3f} ms".format(*latency(classifier, text)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
