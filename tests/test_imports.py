"""The layers of kdcourse: an import points down, and only the module that may touches a troublesome package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {
    "__main__": 6,
    "doctor": 5,
    "widgets": 5,
    "quiz": 5,
    "plots": 4,
    "evidence": 3,
    "measure": 3,
    "text_bundle": 3,
    "distillation": 2,
    "pruning": 2,
    "text_encoder": 2,
    "quantization": 2,
    "architecture_search": 2,
    "keras_bridge": 1,
    "soft_labels": 1,
    "losses": 1,
    "litert": 1,
    "encodings": 1,
    "models": 1,
    "datasets": 1,
    "records": 0,
    "runtime": 0,
    "downloads": 0,
    "files": 0,
}
WITHIN_A_LAYER = {
    ("records", "files"),
    ("downloads", "files"),
    ("losses", "soft_labels"),
    ("litert", "keras_bridge"),
    ("pruning", "distillation"),
    ("text_encoder", "distillation"),
}
ONLY_IN = {
    "tf_keras": {"keras_bridge"},
    "ai_edge_litert": {"litert", "text_bundle"},
    "safetensors": {"text_encoder"},
    "tokenizers": {"text_encoder"},
    "tensorflow_model_optimization": {"pruning", "quantization", "architecture_search"},
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
            found += [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    return found


def violations(sources: dict[str, str]) -> list[str]:
    """Return one sentence for each broken rule; `sources` maps paths inside kdcourse (``widgets/slider.py``) to their text."""
    found = []
    for path, source in sources.items():
        *folders, stem = path.removesuffix(".py").split("/")
        package = ".".join(["kdcourse", *folders])
        module = folders[0] if folders else stem
        layer = -1 if module == "__init__" else LAYERS.get(module)
        if layer is None:
            found.append(f"{path}: {module} has no layer; give it one in the table of tests/test_imports.py")
            continue
        for name in imported(source, package):
            top, _, rest = name.partition(".")
            if module not in ONLY_IN.get(top, {module}):
                found.append(f"{path}: only {', '.join(sorted(ONLY_IN[top]))} may import {top}")
            if name.startswith("tensorflow.keras") or name.startswith("tf.keras"):
                found.append(f"{path}: never tf.keras")
            target = rest.split(".")[0]
            if top != "kdcourse" or target == module or target.startswith("__version"):
                continue
            if target not in LAYERS:
                found.append(f"{path}: imports kdcourse.{target}, which has no layer")
            elif LAYERS[target] >= layer and (module, target) not in WITHIN_A_LAYER:
                found.append(f"{path}: layer {layer} may not import {target} of layer {LAYERS[target]}")
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
        ("soft_labels.py", "from . import evidence", "layer 1 may not import evidence of layer 3"),
        ("soft_labels.py", "from .plots import bars", "layer 1 may not import plots of layer 4"),
        ("soft_labels.py", "import kdcourse.plots", "layer 1 may not import plots of layer 4"),
        ("soft_labels.py", "def f():\n    from kdcourse.losses import kl", "layer 1 may not import losses of layer 1"),
        ("files.py", "from .records import load", "layer 0 may not import records of layer 0"),
        ("quiz.py", "from .widgets import explorer", "layer 5 may not import widgets of layer 5"),
        ("widgets/explorer.py", "from ..quiz import show", "layer 5 may not import quiz of layer 5"),
        ("widgets/explorer.py", "from .. import quiz", "layer 5 may not import quiz of layer 5"),
        ("__init__.py", "from .files import data_path", "layer -1 may not import files of layer 0"),
        ("models.py", "import importlib\nimportlib.import_module('kdcourse.plots')", "layer 1 may not import plots of layer 4"),
        ("evidence.py", "from . import helpers", "imports kdcourse.helpers, which has no layer"),
        ("helpers.py", "", "helpers has no layer"),
        ("models.py", "def f():\n    import tf_keras", "only keras_bridge may import tf_keras"),
        ("distillation.py", "from tensorflow_model_optimization.sparsity import keras", "may import tensorflow_model_optimization"),
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
        ("records.py", "from .files import written_whole"),
        ("widgets/explorer.py", "from .base import Base\nfrom ..soft_labels import softmax\nimport anywidget"),
        ("widgets/__init__.py", "from .explorer import Explorer"),
        ("measure.py", "from . import soft_labels\nimport keras"),
        ("__main__.py", "from . import __version__\nfrom .quiz import show"),
        ("keras_bridge.py", "import tf_keras"),
    ],
)
def test_what_is_allowed(path, source):
    assert violations({path: source}) == []


@pytest.mark.parametrize("module", ["", ".widgets", ".soft_labels", ".losses", ".quiz", ".evidence", ".records", ".runtime", ".datasets"])
def test_import_is_light(module):
    code = f"import sys, kdcourse{module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "kdcourse" in loaded
    assert not {"tensorflow", "keras", "tf_keras", "matplotlib", "scipy"} & set(loaded)
