"""The course's address and every link made from it: one place knows it, ``[project.urls] Repository`` in pyproject.toml."""

import re
import tomllib
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
BRANCH = "main"
_HOSTED = re.compile(r"https://(?:colab\.research\.google\.com/(?!assets/)|mybinder\.org/(?!badge))[^\s)\"'<>\]]*")


def repository(root: Path = ROOT) -> str:
    """Return the repository's address, ``https://github.com/<owner>/<name>``.

    Raises:
        ValueError: pyproject.toml names another kind of address; Colab and Binder links are made for GitHub.
    """
    with open(root / "pyproject.toml", "rb") as file:
        address = tomllib.load(file)["project"]["urls"]["Repository"].rstrip("/")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(f"Repository in pyproject.toml must be https://github.com/<owner>/<name>, got {address!r}")
    return address


def colab_url(path: str, root: Path = ROOT) -> str:
    """Return the link that opens the notebook `path` (relative to the repository, with ``/``) in Colab."""
    return f"https://colab.research.google.com/github/{_owner_and_name(root)}/blob/{BRANCH}/{quote(path)}"


def binder_url(path: str, root: Path = ROOT) -> str:
    """Return the link that opens the notebook `path` (relative to the repository, with ``/``) in JupyterLab on Binder."""
    return f"https://mybinder.org/v2/gh/{_owner_and_name(root)}/{BRANCH}?labpath={quote(path, safe='')}"


def hosted_links(text: str) -> list[str]:
    """Return every link to Colab or Binder in `text` (their badge pictures are not links to a notebook)."""
    return _HOSTED.findall(text)


def wrong_links(text: str, root: Path = ROOT, paths: list[str] | None = None) -> list[str]:
    """Return the links to Colab or Binder in `text` that are not the generated link of a notebook.

    Args:
        text: Markdown or HTML, for example of README.md.
        root: the repository's folder.
        paths: the notebooks that may be linked to; default: all that exist.
    """
    if paths is None:
        paths = [path.relative_to(root).as_posix() for path in (root / "notebooks").rglob("*.ipynb")]
    right = {make(path, root) for path in paths for make in (colab_url, binder_url)}
    return [link for link in hosted_links(text) if link not in right]


def _owner_and_name(root: Path) -> str:
    return repository(root).removeprefix("https://github.com/")


def readdressed(text: str, root: Path = ROOT) -> str:
    """Return `text` with every link to Colab or Binder, and to the repository, moved to the present address."""
    text = re.sub(r"(https://colab\.research\.google\.com/github/)[^/\s]+/[^/\s]+(/blob/)", rf"\g<1>{_owner_and_name(root)}\g<2>", text)
    text = re.sub(r"(https://mybinder\.org/v2/gh/)[^/\s]+/[^/\s]+(/)", rf"\g<1>{_owner_and_name(root)}\g<2>", text)
    return re.sub(r"(git clone )https://github\.com/[^\s`]+", rf"\g<1>{repository(root)}", text)

