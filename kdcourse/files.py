"""Where the course's own small files are, and how a file is written: whole or not at all."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

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
