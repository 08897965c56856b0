"""Where the course keeps what can be fetched or computed again, with and without a home folder."""

import os
import tempfile
from pathlib import Path

import pytest

from kdcourse import archives, datasets, doctor, files


@pytest.fixture
def no_home(monkeypatch):
    """A user number without an entry in the list of users, as containers give it."""

    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME", "KDCOURSE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HOME": "/h"}, "/h/.cache"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "x"}, "/h/.cache"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "~/x"}, "/h/.cache"),
        ({"HOME": "/h", "XDG_CACHE_HOME": ""}, "/h/.cache"),
        ({"HOME": ""}, tempfile.gettempdir()),
        ({"HOME": "/"}, tempfile.gettempdir()),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="Windows has another rule for the home folder")
def test_the_cache_folder(monkeypatch, environment, expected):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert files.cache_folder() == Path(expected) / "kdcourse"


def test_nothing_needs_a_home_folder(no_home):
    assert files.home_folder() is None and files.cache_folder() == Path(tempfile.gettempdir()) / "kdcourse"
    for name in datasets.registry():
        datasets.where(name)
    for name in archives.registry():
        archives.find(name)
    assert any(line.startswith("data mnist ") for line in doctor.report()[0])


def test_the_readers_own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KDCOURSE_DATA", "")
    assert files.own_folder() is None
    monkeypatch.setenv("KDCOURSE_DATA", str(tmp_path))
    assert files.own_folder() == tmp_path
    monkeypatch.setenv("KDCOURSE_DATA", str(tmp_path / "no"))
    with pytest.raises(ValueError, match="KDCOURSE_DATA must name a folder, got .*no"):
        files.own_folder()
