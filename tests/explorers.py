"""What the tests of the explorers share: a small one of each kind, as the code of a notebook's cell, and what is done to all of them."""

import json
import re
import subprocess
import sys

import pytest
import traitlets

DIGITS = """\
import numpy as np
from kdcourse.widgets import {name}

rng = np.random.default_rng(0)
images, (teacher, student) = rng.random((3, 28, 28)), rng.normal(0, 4, (2, 3, 10))
explorer = {name}(images, [7, 0, 9], teacher, student, temperature=2.0)
explorer"""
CODE = {
    "temperature": DIGITS.format(name="TemperatureExplorer"),
    "loss": DIGITS.format(name="LossExplorer"),
    "curves": """\
from kdcourse.widgets import SparsityCurves

accuracy = {scope: {"before": [0.99, 0.5, low], "after": [0.99, 0.9, 0.8]} for scope, low in (("by layer", 0.1), ("global", 0.2))}
sizes = {scope: {"raw float32": [4000] * 3, "bitmask": [4125, 2125, 165]} for scope in accuracy}
explorer = SparsityCurves([0, 50, 99], accuracy, sizes)
explorer""",
    "bits": """\
import numpy as np
from kdcourse.quantization import recorded
from kdcourse.widgets import BitWidthExplorer

rng = np.random.default_rng(0)
layers = {"conv1": rng.normal(size=(3, 3, 2, 8)), "logits": rng.normal(size=(40, 10))}
right = {scope: rng.integers(0, 101, (15, 2, 2, 2)) for scope in ("all layers", *layers)}
explorer = BitWidthExplorer(layers, recorded.Accuracies("test", 100, 98, (100, 50), right))
explorer""",
    "pareto": """\
from kdcourse.widgets import ParetoExplorer

rows = [("teacher", 0.99, 400, 2.5), ("student", 0.97, 100, 3), ("pruned", 0.96, 120, 1), ("tiny", 0.9, 10, 0.25)]
points = [{"name": n, "accuracy": a, "low": a - 0.005, "high": a + 0.005, "bytes": b, "ms": ms} for n, a, b, ms in rows]
costs = {"bytes": "bytes of the file", "ms": "time of one image (ms)"}
explorer = ParetoExplorer(points, costs, budget={"accuracy": 0.95, "bytes": 200}, selected="student")
explorer""",
    "sparsity": """\
import numpy as np
from kdcourse.runtime import quiet_start, set_seed
from kdcourse.widgets import SparsityExplorer

quiet_start()
import keras

set_seed(0)
layers = [keras.layers.Conv2D(4, 5, name="conv1"), keras.layers.Flatten(), keras.layers.Dense(10, name="logits")]
model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
rng = np.random.default_rng(0)
explorer = SparsityExplorer(model, rng.random((200, 28, 28, 1)), rng.integers(0, 10, 200), sparsity=50)
explorer""",
    "text": """\
import numpy as np
from kdcourse.widgets import TextExplorer

def student(text):
    if "zebra" in text:
        raise ValueError("no word of this text is known")
    return np.random.default_rng(list(text.encode())).normal(0, 2, 10)

def teacher(text):
    return student(text) + 0.5 * np.arange(10)

names = ["sci.med", "soc.religion", *(f"class {i}" for i in range(8))]
explorer = TextExplorer(teacher, student, names, text="hello", temperature=4, examples=["an example", "<b>another</b> one"])
explorer""",
}


def build(name: str):
    """Return the explorer of a piece of code."""
    found = {}
    exec(CODE[name], found)
    return found["explorer"]


def numbers(page, view: int = 0) -> dict:
    """Return the numbers that an explorer's view shows, in full precision."""
    return json.loads(page.locator(".kd").nth(view).get_attribute("data-numbers"))


def put(page, **traits) -> None:
    """Set traits of the model of a bare page."""
    page.evaluate("traits => { for (const [name, value] of Object.entries(traits)) model.set(name, value); }", traits)


def reach(bars):
    """Return how far each bar of a locator reaches from the left end of its track, as a share of it."""
    return bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width / bar.parentElement.clientWidth)")


def pattern(message: str) -> str:
    """Return a pattern for a sentence that begins like `message`, where "..." stands for anything."""
    return "^" + ".*".join(map(re.escape, re.split(r" ?\.\.\. ?", message)))


def refuses(message: str, call, *arguments, **changes) -> None:
    """Assert that a call is refused by one sentence like `message`."""
    with pytest.raises(ValueError, match=pattern(message)) as caught:
        call(*arguments, **changes)
    assert "\n" not in str(caught.value)


def refuses_traits(explorer, cases) -> None:
    """Assert that each (trait, value, message) is refused, and that the old values stay."""
    before = {trait: getattr(explorer, trait) for trait, _, _ in cases}
    for trait, value, message in cases:
        with pytest.raises(traitlets.TraitError, match=pattern(message)):
            setattr(explorer, trait, value)
    assert {trait: getattr(explorer, trait) for trait in before} == before


def loads_nothing_heavy(name: str) -> bool:
    """Tell whether an explorer can be made without TensorFlow, Keras and matplotlib."""
    code = f"{CODE[name]}\nimport sys; print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
