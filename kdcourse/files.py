"""Where the course's own small files are, and how a file is written: whole or not at all."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import checks

_PACKAGE = Path(__file__).resolve().parent


def data_path(*parts: str) -> Path:
    """Return the path of a file or folder of the course's ``data/``; the one accessor to it.

    In a checkout it is the folder ``data/`` beside the package; an installed wheel carries a copy inside the package.

    Raises:
        FileNotFoundError: there is no such file, or no ``data/`` at all.
    """
    for root in (_PACKAGE / "data", _PACKAGE.parent / "data"):
        if (root / "datasets.toml").is_file():
            path = root.joinpath(*parts)
            if not path.exists():
                there = sorted(p.name for p in path.parent.glob("*"))
                raise FileNotFoundError(f"the course's data folder has no {'/'.join(parts)!r}; it has {there}")
            return path
    raise FileNotFoundError("the course's data folder is missing; install kdcourse again")


def home_folder() -> Path | None:
    """Return the user's home folder; None where there is none, as in a container that runs under a user number of its own."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() and home != Path(home.anchor) else None  # the root is what stands for "no home" there


def cache_folder() -> Path:
    """Return the folder of what can be fetched or computed again: ``kdcourse`` in the user's cache folder.

    That is the folder that XDG_CACHE_HOME names (a relative one is ignored, as its rule demands), else ``~/.cache``, else, where there is
    no home folder, the folder of temporary files.
    """
    named, home = Path(os.environ.get("XDG_CACHE_HOME", "")), home_folder()
    return (named if named.is_absolute() else home / ".cache" if home else Path(tempfile.gettempdir())) / "kdcourse"


def own_folder() -> Path | None:
    """Return the folder with files of the reader's own, which the variable KDCOURSE_DATA names; None where it is not set.

    Raises:
        ValueError: it names no folder.
    """
    own = os.environ.get("KDCOURSE_DATA")
    checks.require(not own or Path(own).is_dir(), f"KDCOURSE_DATA must name a folder, got {own!r}")
    return Path(own) if own else None


@contextmanager
def written_whole(path: str | os.PathLike):
    """Give a temporary path beside `path`; rename it to `path` when the block ends, delete it when the block fails.

    The temporary name keeps the ending of `path`, because NumPy and Keras look at it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix="".join(path.suffixes))
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
