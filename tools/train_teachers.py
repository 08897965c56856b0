"""Train the models that ship in data/teachers/ and write their weights, logits and provenance: `make teachers`."""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from kdcourse import datasets, measure, models, runtime, training
from kdcourse.checks import choice
from kdcourse.files import written_whole
from kdcourse.soft_labels import one_hot

FOLDER = Path(__file__).resolve().parents[1] / "data" / "teachers"
# plain settings, not tuned; the student has the number of updates that chapter 01 gives to every arm
CONFIG = {
    "mnist-5k-teacher": {"seed": 0, "updates": 2000, "learning_rate": 2e-3, "batch_size": 64, "jitter": 2},
    "mnist-5k-student": {"seed": 0, "updates": 1500, "learning_rate": 2e-3, "batch_size": 64},
    "mnist-5k-lenet5": {"seed": 0, "updates": 2000, "learning_rate": 1e-3, "batch_size": 64, "jitter": 2},
    "mnist-5k-phone": {"seed": 0, "updates": 1500, "learning_rate": 2e-3, "batch_size": 64, "jitter": 2},
    "mnist-teacher": {"seed": 0, "updates": 43_000, "learning_rate": 1e-3, "batch_size": 256, "jitter": 2},
}
BUILD = models.TRAINED | {"mnist-teacher": partial(models.hinton_teacher, dtype="mixed_bfloat16")}


def make(name: str) -> None:
    """Train one model and write its files, each whole or not at all."""
    data = datasets.load("mnist", validation=5000) if name == "mnist-teacher" else datasets.load("mnist-5k")
    config, began = CONFIG[name], time.time()
    model = training.train(BUILD[name], data.x_train, one_hot(data.y_train, 10), verbose=1, **config)
    seconds = time.time() - began
    splits = {split: (getattr(data, f"x_{split}"), getattr(data, f"y_{split}")) for split in models.Logits._fields}
    logits = {split: training.logits(model, x).astype(np.float16) for split, (x, _) in splits.items()}
    if name in models.TRAINED:
        plain = models.TRAINED[name](name=name)  # without the optimizer's state
        plain.set_weights(model.get_weights())
        with written_whole(FOLDER / f"{name}.weights.h5") as temporary:
            plain.save_weights(temporary)
    with written_whole(FOLDER / f"{name}.npz") as temporary:
        np.savez_compressed(temporary, **logits)
    provenance = {
        "model": f"kdcourse.models.{getattr(BUILD[name], 'func', BUILD[name]).__name__}",
        "parameters": model.count_params(),
        "data": f"{data.name}, training split ({len(data.x_train)} images), hard labels",
        "config": config | getattr(BUILD[name], "keywords", {}),
        "accuracy": {split: measure.accuracy(logits[split], y) for split, (_, y) in splits.items()},
        "errors": {split: int(np.sum(logits[split].argmax(1) != y)) for split, (_, y) in splits.items()},
        "command": f"python tools/train_teachers.py {name}",
        **runtime.provenance(("kdcourse", "tensorflow", "keras", "numpy")),
        "seconds": round(seconds, 1),
        "licence": "CC BY 4.0 (made by this project)",
    }
    with written_whole(FOLDER / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    print(name, provenance["accuracy"])


def main(names: list[str]) -> None:
    """Make the models of `names`, or all; a name that does not exist ends it before anything is made."""
    try:
        wanted = [choice("name", name, CONFIG) for name in names] or list(CONFIG)
    except ValueError as error:
        sys.exit(str(error))
    for name in wanted:
        make(name)


if __name__ == "__main__":
    main(sys.argv[1:])
