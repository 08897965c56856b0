"""Experiment records on disk: one JSON file for each experiment in ``data/experiments/``.

A record holds what was run and what came out: ``experiment``, ``metric``, ``higher_is_better``, ``unit``, ``seeds``,
``values`` ({arm: [one number for each seed]}), ``compare`` (pairs of arms), ``comparisons`` (see `kdcourse.evidence`),
``source_sha256`` of the recorded cells, ``versions``, ``cpu``, ``cores``, ``seconds`` and ``date``.
"""

import json
from pathlib import Path

from .files import data_path, written_whole


def names() -> list[str]:
    """Return the names of all recorded experiments."""
    return sorted(path.stem for path in data_path("experiments").glob("*.json"))


def load(name: str) -> dict:
    """Return the record of the experiment `name`.

    Raises:
        ValueError: no such record.
    """
    if name not in names():
        raise ValueError(f"name must be a recorded experiment, one of {names()}, got {name!r}")
    return json.loads(data_path("experiments", f"{name}.json").read_text(encoding="utf-8"))


def save(record: dict, folder: str | Path | None = None) -> Path:
    """Write `record` to ``<folder>/<experiment>.json`` (default: the course's data folder) and return the path."""
    path = Path(folder or data_path("experiments")) / f"{record['experiment']}.json"
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"  # before the file is touched
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
