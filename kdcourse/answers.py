"""A model asked once about all of its inputs, and what it said kept in a file: the teacher's part of a student's data."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import checks
from .anatomy import keras_of, taps
from .files import written_whole
from .runtime import quiet_start
from .training import answer_of

LARGEST = float(np.finfo(np.float16).max)  # that a cache can hold
PROBE = 8  # inputs that a model is asked about again before its kept answers are believed


def outputs(
    model,
    inputs: np.ndarray,
    *,
    features: Sequence[str] = (),
    cache: str | Path | None = None,
    batch_size: int = 500,
    verbose: int = 1,
) -> dict[str, np.ndarray]:
    """Ask a model once about all inputs; return its logits and what its layers `features` gave, float32.

    ``{"logits": (examples, classes), <layer>: (examples, ...)}``, without dropout, batch normalization as in use.

    With `cache` the answers are kept in a file, rounded to float16, and the same call reads them back; fresh or read back, they are the
    same bit for bit. The file belongs to its inputs, its layers and its model: to the SHA-256 of the weights, and to what the model
    does, because the first 8 inputs are asked again each time. So a function or a class that was changed in a notebook is noticed.

    Args:
        model: a Keras 3 or tf_keras model; with `features` it is functional, or a Sequential that begins with an Input.
        inputs: shape ``(examples, ...)``: what the model reads, images or tokens.
        features: names of layers whose outputs are wanted.
        cache: a path that ends in .npz.
        batch_size: inputs asked about at a time.
        verbose: 1 shows a progress bar, 0 nothing.

    Raises:
        ValueError: no inputs, an unknown layer, answers that are not finite or, with `cache`, beyond float16's 65,504; a cache that was
            made from other inputs or by another model, or is damaged.
    """
    inputs, batch_size = checks.array("inputs", inputs, ("examples", ...)), checks.whole("batch_size", batch_size)
    features = checks.names("features", features, least=0)
    if cache is not None and (not isinstance(cache, str | Path) or Path(cache).suffix != ".npz"):
        checks.refuse("cache", "a path that ends in .npz", checks.shown(cache))
    quiet_start()
    import keras

    names, ask = ["logits", *features], model
    keras_of(model)
    if features:
        given, wanted = taps(model, features, "features")
        ask = keras_of(model).Model(given, dict(zip(names, wanted, strict=True)))

    def asked(start: int, batch: np.ndarray) -> dict[str, np.ndarray]:
        answer = ask(batch, training=False)
        answer = answer if features else {"logits": answer_of(answer)}
        found, last = {name: np.asarray(answer[name], np.float32) for name in names}, start + len(batch) - 1
        if found["logits"].ndim != 2 or len(found["logits"]) != len(batch):
            shape = found["logits"].shape
            raise ValueError(f"model must answer {len(batch)} inputs with logits of shape ({len(batch)}, classes), got shape {shape}")
        return {name: checks.finite(f"the model's {name} for inputs {start} to {last}", values) for name, values in found.items()}

    if cache is not None:
        probe = asked(0, inputs[:PROBE])  # first, because only now a model of one's own class has weights
        key = {"inputs": _sha256([inputs]), "weights": _sha256(model.get_weights()), "features": _places(model, features)}
        if Path(cache).exists():
            return _read(Path(cache), key, names, len(inputs), probe)
    starts = range(0, len(inputs), batch_size)
    bar, parts = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch"), []
    for done, start in enumerate(starts, 1):
        parts.append(asked(start, inputs[start : start + batch_size]))
        bar.update(done)
    found = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return found if cache is None else _keep(Path(cache), key, found)


def _places(model, features: list[str]) -> list[int]:
    """Return the layers' places in the model: Keras numbers its names through, so a model that is built again has others."""
    order = [layer.name for layer in getattr(model, "layers", ())]
    return [order.index(name) for name in features]


def _keep(path: Path, key: dict, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Write the answers as float16; return them as they were written."""
    for name, values in found.items():
        if (largest := np.abs(values).max(initial=0)) > LARGEST:
            checks.refuse(name, f"within {LARGEST:,.0f} of 0 to be kept as float16", f"{largest:,.0f}; call without cache")
    found = {name: values.astype(np.float16) for name, values in found.items()}
    arrays = {f"output_{i}": values for i, values in enumerate(found.values())}
    with written_whole(path) as temporary:
        np.savez_compressed(temporary, key=np.array(json.dumps(key)), **arrays)
    return {name: values.astype(np.float32) for name, values in found.items()}


def _read(path: Path, key: dict, names: list[str], examples: int, probe: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the answers in a file, after a look whether it belongs to `key` and to the answers `probe` to the first inputs."""
    cause = None
    try:
        with np.load(path, allow_pickle=False) as file:
            made = dict(json.loads(str(file["key"])))
            found = {name: file[f"output_{i}"] for i, name in enumerate(names)} if made == key else {}
    except Exception as error:  # a damaged archive raises almost anything
        made, found, cause = {}, {}, error
    other = [name for name, value in key.items() if name in made and made[name] != value]
    if cause is None and made.keys() == key.keys() and not other:
        if any(len(values) != examples for values in found.values()):
            made = {}
        elif not all(_alike(found[name][:PROBE], values) for name, values in probe.items()):
            other = ["answers to the first inputs: the model computes something else"]
    if other:
        what = " and other ".join(other)
        raise ValueError(f"cache {path} was made with other {what}; delete it to ask the model again, or give another path")
    if made.keys() != key.keys():
        raise ValueError(f"cache {path} is damaged or was not made by outputs(); delete it to ask the model again") from cause
    return {name: values.astype(np.float32) for name, values in found.items()}


def _alike(kept: np.ndarray, fresh: np.ndarray) -> bool:
    """Whether answers are the same up to float16's rounding and what another machine's arithmetic may change."""
    return kept.shape == fresh.shape and np.allclose(kept, fresh, rtol=1e-2, atol=1e-2 * float(np.abs(fresh).max(initial=0)) + 1e-6)


def _sha256(arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()
