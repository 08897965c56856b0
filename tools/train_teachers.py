"""Train the models that ship in data/teachers/ and write their weights, logits and provenance: `make teachers`."""

import datetime
import json
import sys
import time
from pathlib import Path

import numpy as np

from kdcourse import datasets, distillation, measure, models, runtime
from kdcourse.files import written_whole
from kdcourse.soft_labels import one_hot

FOLDER = Path(__file__).resolve().parents[1] / "data" / "teachers"
# plain settings, not tuned; the student has the number of updates that chapter 01 gives to every arm
CONFIG = {
    "mnist-5k-teacher": {"seed": 0, "updates": 2000, "learning_rate": 2e-3, "batch_size": 64, "jitter": 2},
    "mnist-5k-student": {"seed": 0, "updates": 1500, "learning_rate": 2e-3, "batch_size": 64},
}


def make(name: str) -> None:
    """Train one model and write its three files, each whole or not at all."""
    data, config, began = datasets.load("mnist-5k"), CONFIG[name], time.time()
    model = distillation.train(models.TRAINED[name], data.x_train, one_hot(data.y_train, 10), verbose=1, **config)
    seconds = time.time() - began
    splits = {split: (getattr(data, f"x_{split}"), getattr(data, f"y_{split}")) for split in models.Logits._fields}
    logits = {split: distillation.logits(model, x).astype(np.float16) for split, (x, _) in splits.items()}
    plain = models.TRAINED[name](name=name)  # without the optimizer's state
    plain.set_weights(model.get_weights())
    with written_whole(FOLDER / f"{name}.weights.h5") as temporary:
        plain.save_weights(temporary)
    with written_whole(FOLDER / f"{name}.npz") as temporary:
        np.savez_compressed(temporary, **logits)
    provenance = {
        "model": f"kdcourse.models.{models.TRAINED[name].__name__}",
        "parameters": model.count_params(),
        "data": "mnist-5k, training split, hard labels",
        "config": config,
        "accuracy": {split: measure.accuracy(logits[split], y) for split, (_, y) in splits.items()},
        "command": f"python tools/train_teachers.py {name}",
        "versions": runtime.versions(("kdcourse", "tensorflow", "keras", "numpy")),
        "cpu": runtime.cpu_name(),
        "cores": runtime.cores(),
        "seconds": round(seconds, 1),
        "date": datetime.date.today().isoformat(),
        "licence": "CC BY 4.0 (made by this project)",
    }
    with written_whole(FOLDER / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    print(name, provenance["accuracy"])


if __name__ == "__main__":
    for wanted in sys.argv[1:] or CONFIG:
        if wanted not in CONFIG:
            sys.exit(f"name must be one of {sorted(CONFIG)}, got {wanted!r}")
        make(wanted)
