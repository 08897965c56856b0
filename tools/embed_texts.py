"""Ask the pretrained encoder about the course's texts and write its vectors, 8 bits each, and their provenance: `make embeddings`.

The answers are kept in the course's cache folder, a file for each length of texts: an interrupted run begins that length anew.
"""

import json
import sys
import time

import numpy as np
from sklearn.linear_model import LogisticRegression

from kdcourse import archives, datasets, minilm, runtime
from kdcourse.checks import choice
from kdcourse.files import cache_folder, written_whole

INVERSE_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)  # scikit-learn's C


def make(name: str) -> None:
    """Write the files of one data set, each whole or not at all."""
    data, answers = datasets.load(name), cache_folder() / "embeddings" / name
    resumed, began = answers.exists(), time.time()
    texts = [*data.x_train, *data.x_validation, *data.x_test]
    vectors = minilm.embed(texts, cache=answers)
    seconds = time.time() - began
    path, archive = minilm.shipped(name), archives.registry()[minilm.ARCHIVE]
    minilm.save(path, data, vectors)
    int8 = minilm.embeddings(data)  # as a reader gets them
    float16 = minilm.Embeddings(*np.split(vectors, np.cumsum([len(data.x_train), len(data.x_validation)])))
    provenance = {
        "encoder": "all-MiniLM-L6-v2 (kdcourse.minilm.encoder), the first 128 wordpieces of a text",
        "archive": {key: archive[key] for key in ("requirement", "sha256")},
        "data": f"{data.name}: {', '.join(f'{len(part)} {split}' for split, part in int8._asdict().items())} texts",
        "bytes": path.stat().st_size,
        "rounding": {
            "kept_as": "int8 with one float32 scale, from float16",
            "largest_error": float(np.abs(np.concatenate(int8) - vectors).max()),
            "scale": float(minilm.rounded(vectors)[1]),
        },
        "head": {
            "model": f"sklearn LogisticRegression on the training split; C of {INVERSE_PENALTIES}, by validation accuracy",
            "all_labels": heads(float16, int8, data, share=1),
            "5_percent_of_labels": heads(float16, int8, data, share=20),
        },
        "command": f"python tools/embed_texts.py {name}",
        **runtime.provenance(("kdcourse", "tensorflow", "keras", "numpy", "tokenizers", "safetensors", "scikit-learn")),
        "seconds": round(seconds, 1),
        "resumed": resumed,  # the seconds are then those of the last run only
        "licence": "CC BY 4.0 (the vectors, made by this project); the encoder: Apache-2.0",
    }
    with written_whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    print(name, json.dumps(provenance["head"], indent=1))


def heads(float16: minilm.Embeddings, int8: minilm.Embeddings, data: datasets.TextDataset, share: int) -> dict:
    """Train a linear head on one training text in `share`, drawn with seed 0, on the vectors before and after rounding.

    C is chosen on the rounded ones and serves both, so that only the rounding differs. A class that is not among the labels is never
    the answer.
    """
    rows = np.random.default_rng(0).permutation(len(data.y_train))[: len(data.y_train) // share]

    def fitted(vectors, c):
        return LogisticRegression(C=c, max_iter=2000).fit(vectors.train[rows], data.y_train[rows])

    def validation(c):
        return float(fitted(int8, c).score(int8.validation, data.y_validation))

    scores = {c: validation(c) for c in INVERSE_PENALTIES}
    c = max(scores, key=scores.get)
    answers = {name: fitted(vectors, c).predict(vectors.test) for name, vectors in (("float16", float16), ("int8", int8))}
    test = {name: float(np.mean(found == data.y_test)) for name, found in answers.items()}
    same = float(np.mean(answers["float16"] == answers["int8"]))
    return {"labels": len(rows), "C": c, "validation": scores[c], "test": test, "same_test_answers": same}


def main(names: list[str]) -> None:
    """Make the vectors of the data sets `names`, or of all; a name that does not exist ends it before anything is made."""
    try:
        wanted = [choice("name", name, datasets.TEXTS) for name in names] or list(datasets.TEXTS)
    except ValueError as error:
        sys.exit(str(error))
    for name in wanted:
        make(name)


if __name__ == "__main__":
    main(sys.argv[1:])
