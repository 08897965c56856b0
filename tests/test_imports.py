"""The floors of kdcourse: an import points down, and only the module that may touches a troublesome package."""

import ast
import subprocess
import sys
from pathlib import Path

import chapters
import pytest

ROOT = Path(__file__).resolve().parent.parent
# An import points to a lower floor, or on its own floor to a room further left. A new floor is slipped in, a new room put in its place.
FLOORS = (
    ("checks", "files", "runtime", "evidence", "pareto"),
    ("anatomy", "soft_labels", "formats", "models", "archives"),
    ("losses", "training", "keras_bridge", "datasets"),
    ("litert", "tfmot", "answers", "distillation", "measure", "pruning", "quantization"),
    ("bundles",),
    ("minilm", "pictures", "placing", "plots", "schematics", "architecture_search"),
    ("compress", "quiz"),
    ("widgets", "doctor", "__main__"),
)
PLACES = {room: (floor, place) for floor, rooms in enumerate(FLOORS, 1) for place, room in enumerate(rooms)}
METHODS = {"pruning", "quantization", "architecture_search"}  # of compression: none imports another
ONLY_IN = {
    "tf_keras": {"keras_bridge"},
    "ai_edge_litert": {"litert", "bundles"},
    "litert_quantizer": {"litert"},
    "safetensors": {"minilm"},
    "tokenizers": {"minilm"},
    "tensorflow_model_optimization": {"tfmot"},
    "ipywidgets": {"widgets"},
    "anywidget": {"widgets"},
}


def imported(source: str, package: str) -> list[str]:
    """Return the absolute names that `source` imports anywhere, also inside functions; `package` is what `.` means in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found += [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            found += ["".join(part.value for part in ast.walk(arg) if isinstance(part, ast.Constant)) for arg in node.args[:1]]
    return found


def violations(sources: dict[str, str]) -> list[str]:
    """Return one sentence for each broken rule; `sources` maps paths inside kdcourse (``widgets/slider.py``) to their text."""
    found = []
    for path, source in sources.items():
        *folders, stem = path.removesuffix(".py").split("/")
        package = ".".join(["kdcourse", *folders])
        module = folders[0] if folders else stem
        if module != "__init__" and module not in PLACES:
            found.append(f"{path}: {module} has no floor; give it one in the table of tests/test_imports.py")
            continue
        here = PLACES.get(module, (0, 0))  # the package itself imports nothing
        for name in imported(source, package):
            top, _, rest = name.partition(".")
            if module not in ONLY_IN.get(top, {module}):
                found.append(f"{path}: only {', '.join(sorted(ONLY_IN[top]))} may import {top}")
            if name.startswith("tensorflow.keras") or name.startswith("tf.keras"):
                found.append(f"{path}: never tf.keras")
            target = rest.split(".")[0]
            if top != "kdcourse" or target == module or target.startswith("__version"):
                continue
            if target not in PLACES:
                found.append(f"{path}: imports kdcourse.{target}, which has no floor")
            elif PLACES[target] >= here:
                found.append(f"{path}: floor {here[0]} may not import {target} of floor {PLACES[target][0]}")
            elif {module, target} <= METHODS:
                found.append(f"{path}: one method of compression may not import another, {target}")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("tf.keras", "tensorflow.keras"):
                found.append(f"{path}: never tf.keras (line {node.lineno}); what it means depends on the order of imports")
    return found


def test_imports_point_down():
    package = ROOT / "kdcourse"
    sources = {p.relative_to(package).as_posix(): p.read_text(encoding="utf-8") for p in sorted(package.rglob("*.py"))}
    assert len(sources) > 4
    assert violations(sources) == []


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("soft_labels.py", "from . import measure", "floor 2 may not import measure of floor 4"),
        ("soft_labels.py", "from .plots import bars", "floor 2 may not import plots of floor 6"),
        ("soft_labels.py", "import kdcourse.plots", "floor 2 may not import plots of floor 6"),
        ("soft_labels.py", "def f():\n    from kdcourse.losses import kl", "floor 2 may not import losses of floor 3"),
        ("files.py", "from .evidence import load", "floor 1 may not import evidence of floor 1"),
        ("measure.py", "from .pruning import prunable", "floor 4 may not import pruning of floor 4"),
        ("quantization/affine.py", "from kdcourse.pruning import train", "one method of compression may not import another, pruning"),
        ("quiz.py", "from .widgets import explorer", "floor 7 may not import widgets of floor 8"),
        ("__init__.py", "from .files import data_path", "floor 0 may not import files of floor 1"),
        ("models.py", "import importlib\nimportlib.import_module('kdcourse.plots')", "floor 2 may not import plots of floor 6"),
        ("evidence.py", "from . import helpers", "imports kdcourse.helpers, which has no floor"),
        ("helpers.py", "", "helpers has no floor"),
        ("models.py", "def f():\n    import tf_keras", "only keras_bridge may import tf_keras"),
        ("pruning/by_tfmot.py", "from tensorflow_model_optimization.sparsity import keras", "only tfmot may import"),
        ("pruning/by_tfmot.py", "importlib.import_module(f'tensorflow_model_optimization.{part}.keras')", "only tfmot may import"),
        ("plots.py", "from ipywidgets import Image", "only widgets may import ipywidgets"),
        ("plots.py", "import anywidget", "only widgets may import anywidget"),
        ("models.py", "import tensorflow as tf\ntf.keras.Sequential()", "never tf.keras"),
        ("models.py", "from tensorflow import keras", "never tf.keras"),
        ("models.py", "from tensorflow.keras import layers", "never tf.keras"),
    ],
)
def test_every_rule_can_fail(path, source, message):
    assert len(found := violations({path: source})) == 1 and message in found[0], found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("evidence.py", "from .files import written_whole"),
        ("pruning/magnitude.py", "from kdcourse import measure\nfrom .schedules import checked_sparsity"),
        ("widgets/explorer.py", "from ..quiz import show"),
        ("widgets/explorer.py", "from .base import Base\nfrom ..soft_labels import softmax\nimport anywidget"),
        ("widgets/__init__.py", "from .explorer import Explorer"),
        ("measure.py", "from . import soft_labels\nimport keras"),
        ("__main__.py", "from . import __version__\nfrom .doctor import report"),
        ("keras_bridge.py", "import tf_keras"),
    ],
)
def test_what_is_allowed(path, source):
    assert violations({path: source}) == []


@pytest.mark.parametrize("module", ["", ".widgets", ".soft_labels", ".losses", ".quiz", ".evidence", ".runtime", ".datasets"])
def test_import_is_light(module):
    code = f"import sys, kdcourse{module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "kdcourse" in loaded
    assert not {"tensorflow", "keras", "tf_keras", "matplotlib", "scipy"} & set(loaded)


def test_the_first_slider_of_the_course_loads_no_tensorflow():
    cell = next(cell.source for cell in chapters.read("00_start_here") if cell.cell_type == "code")
    code = f"{cell}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "TemperatureExplorer(" in cell and "kdcourse" in loaded
    assert not {"tensorflow", "keras", "tf_keras"} & set(loaded)
