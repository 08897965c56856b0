"""Accuracy, bytes and latency of chapter 07's teacher and student in one table: ``python benchmarks/text_case.py [--seed 20]``.

Both run in LiteRT on one thread, on the same texts, one at a time, from the text to the logits: with the words numbered, and without.
The student is trained here with the page's own cells. Only ratios of one run mean anything: machines differ.
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import experiment

from kdcourse import litert, measure, minilm
from kdcourse.bundles import text as bundle
from kdcourse.soft_labels import soft_targets

TEXTS = 200  # test texts that are timed


def timed(ask, inputs, rounds):
    """Return (median, p95) milliseconds of ``ask(input)`` over all inputs, `rounds` times, after one round of warm-up."""
    seconds = []
    for number in range(rounds + 1):
        for value in inputs:
            began = time.perf_counter()
            ask(value)
            if number:
                seconds.append(time.perf_counter() - began)
    return tuple(1000 * np.quantile(seconds, (0.5, 0.95)))


def main() -> None:
    """Train the student, export both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=20, help="of the draw of 5%% of the labels and of the student (default: %(default)s)")
    seed = parser.parse_args().seed

    page = experiment.find_all()["labels_5"].page()
    data, words, vectors, vectorizer = page["corpus"]("20newsgroups")
    rows = page["draw"](data.y_train, 0.05, seed)
    head = page["head"](vectors.train[rows], data.y_train[rows])
    soft = soft_targets(head.decision_function(vectors.train), 1.0)
    student = page["trained"]("20newsgroups", words.train, soft, seed, **page["SETTINGS"]["distilled", "20newsgroups", 0.05])

    texts = data.x_test[np.random.default_rng(0).permutation(len(data.x_test))[:TEXTS]]
    pieces = [minilm.wordpieces([text]) for text in texts]
    rights = {"teacher, float32": head.score(vectors.test, data.y_test)}
    tflite = litert.to_tflite(minilm.encoder())
    size = len(tflite) + 4 * (head.coef_.size + head.intercept_.size)
    answer = partial(teacher_logits, single(tflite), head)
    inside = timed(answer, pieces[:50], 1)
    whole = timed(lambda text: answer(minilm.wordpieces([text])), texts[:50], 1)
    found = {"teacher, float32": (size, measure.peak_memory(tflite), inside, whole)}
    with tempfile.TemporaryDirectory() as folder:
        folder = bundle.write(Path(folder) / "bundle", student, vectorizer, data.class_names, card="# A student for a benchmark")
        for weights in ("float32", "int8"):
            file = folder / f"model_{weights}.tflite"
            classifier = bundle.open(folder, file.name)
            rights[f"student, {weights}"] = measure.accuracy(np.array([classifier.logits(text) for text in data.x_test]), data.y_test)
            run, numbers = single(file.read_bytes()), [classifier.words(text) for text in texts]
            found[f"student, {weights}"] = (
                file.stat().st_size, measure.peak_memory(file.read_bytes()), timed(run, numbers, 20), timed(classifier.logits, texts, 20)
            )  # fmt: skip

    whole = found["teacher, float32"]
    print(f"20 Newsgroups, {len(rows)} labels, seed {seed}; {TEXTS} test texts one at a time, LiteRT, 1 thread; milliseconds: median / p95")
    print(
        f"{'':18}{'accuracy':>9}{'kept':>7}{'bytes':>12}{'1/':>6}{'memory':>13}{'model alone':>21}{'1/':>7}{'from the text':>21}{'1/':>7}"
    )
    for name, (size, memory, inside, outside) in found.items():
        accuracy = f"{rights[name]:9.1%}{rights[name] / rights['teacher, float32']:7.0%}"
        times = "".join(f"{f'{t[0]:.4f} / {t[1]:.4f}':>21}{base[0] / t[0]:7.0f}" for t, base in ((inside, whole[2]), (outside, whole[3])))
        print(f"{name:18}{accuracy}{size:12,}{whole[0] / size:6.0f}{memory:13,}{times}")


def teacher_logits(encode, head, pieces):
    """Return the teacher's logits: the encoder in LiteRT, then a linear head of 7,700 numbers."""
    return head.decision_function(encode(pieces))


def single(tflite: bytes):
    """Return a function from one input to the output of a .tflite file, on one thread."""
    loaded = litert.interpreter(tflite)
    given, answer = loaded.get_input_details()[0]["index"], loaded.get_output_details()[0]["index"]

    def run(x):
        loaded.set_tensor(given, x)
        loaded.invoke()
        return loaded.get_tensor(answer)

    return run


if __name__ == "__main__":
    main()
