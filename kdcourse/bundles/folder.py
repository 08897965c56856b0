"""The folder that goes to a phone, whatever it classifies: .tflite models, ``config.json``, ``classify.py`` and ``MODEL_CARD.md``.

A bundle is written beside its place and tried out there; then it takes its place, whole or not at all. ``config.json`` holds the SHA-256 of
the files that were tried out together, so that a file of another bundle is noticed.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from .. import checks
from ..runtime import versions


def files(*names: str) -> tuple[str, ...]:
    """Return the names of all files of a bundle that has the files `names` besides those that every bundle has."""
    return (*names, "config.json", "classify.py", "MODEL_CARD.md")


@contextlib.contextmanager
def replaced(folder: Path, format: str, files: Sequence[str]) -> Iterator[Path]:
    """Give a new folder; when the block ends, it takes the place of `folder`; when the block fails, nothing has changed.

    Raises:
        ValueError: at `folder` is something else than a bundle of this `format`, as ``config.json`` tells it, of no more than `files`.
    """
    if folder.exists():
        try:
            there = json.loads((folder / "config.json").read_bytes())["format"]
        except (OSError, ValueError, KeyError, TypeError):
            there = None
        if there != format:
            checks.refuse("folder", "a new one or a bundle to replace", f"{folder}, which is neither")
        if others := sorted({path.name for path in folder.iterdir()} - {*files, "__pycache__"}):
            checks.refuse("folder", "a bundle and nothing else to be replaced", f"{folder} with {others[0]!r} in it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-", ignore_cleanup_errors=True) as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()
        yield new
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except BaseException:  # also when the reader interrupts: the old bundle would go with the temporary folder
            if old.exists():
                os.replace(old, folder)
            raise


def fill(
    new: Path, format: str, models: dict[str, bytes], lines: dict[str, list[str]], settings: dict, runner: Path, card: str, usage: str
) -> None:
    """Write all files of a bundle into the empty folder `new`.

    Args:
        new, format: as in `replaced`.
        models: {name of a file: bytes of a .tflite file}.
        lines: {name of a text file: its lines}, such as the labels.
        settings: what ``config.json`` tells the runner besides.
        runner: the Python file that answers with numpy and ai-edge-litert alone; it travels as ``classify.py``.
        card, usage: Markdown; what a reader must know of the model, and how the runner is called.
    """
    for name, content in models.items():
        (new / name).write_bytes(content)
    for name, of_it in lines.items():
        (new / name).write_bytes("".join(f"{line}\n" for line in of_it).encode())
    sha256 = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(new.iterdir())}
    made_with = versions(("kdcourse", "numpy", "ai-edge-litert", "keras", "tensorflow"))
    config = {"format": format, **settings, "models": list(models), "sha256": sha256, "versions": made_with}
    (new / "config.json").write_bytes(f"{json.dumps(config, indent=1)}\n".encode())
    shutil.copyfile(runner, new / "classify.py")
    sizes = "\n".join(f"| {name} | {(new / name).stat().st_size:,} |" for name in files(*models, *lines)[:-1])
    text = f"""{card.strip()}

## How to run it

It needs two packages, and no TensorFlow:

    pip install numpy=={made_with["numpy"]} ai-edge-litert=={made_with["ai-edge-litert"]}
{usage}

| file | bytes |
|---|---:|
{sizes}

Made with {", ".join(f"{name} {version}" for name, version in made_with.items() if version)}.
"""
    (new / "MODEL_CARD.md").write_bytes(text.encode())


def try_out(new: Path, opened: Callable, inputs: Sequence, expected: np.ndarray, allowed: dict[str, float], of: str) -> None:
    """Hold the answers of each model of a bundle against those that are expected.

    Args:
        new: the bundle.
        opened: of a folder and the name of a model, gives what answers one input with ``logits(input)``.
        inputs, expected: what the runner reads, such as texts; the logits of `of`, shape ``(inputs, classes)``.
        allowed: {name of a model: how far its answers may be off}.
        of: what gave the expected logits, for the refusal.

    Raises:
        RuntimeError: the answers differ by more than is allowed.
    """
    for name, most in allowed.items():
        classifier = opened(new, name)
        gap = np.abs([classifier.logits(one) for one in inputs] - expected).max()
        if not gap <= most:
            raise RuntimeError(f"{name} must agree with {of} to {most:.3g}, but its answers differ by {gap:.3g}")


def checked_names(class_names, outputs: int, of: str) -> list[str]:
    """Return the class names if they are different texts of one line, one for each output of the model `of`.

    Raises:
        ValueError: that.
    """
    names = checks.names("class_names", class_names)
    if wrong := [name for name in names if name.splitlines() != [name]]:
        checks.refuse("class_names", "texts of one line", repr(wrong[0]))
    if len(names) != outputs:
        checks.refuse("class_names", f"one name for each of {of}'s {outputs} outputs", f"{len(names)}")
    return names


def checked_card(card) -> str:
    """Return the card if it is a text with something in it.

    Raises:
        ValueError: that.
    """
    if not isinstance(card, str) or not card.strip():
        checks.refuse("card", "a text in Markdown", checks.shown(card))
    return card
