"""The tools that make what ships in data/: what they refuse before they begin. They themselves run for minutes, by hand."""

import importlib
import platform
import re

import numpy as np
import pytest

from kdcourse import runtime


@pytest.fixture(params=["train_teachers", "embed_texts"])
def tool(request, monkeypatch):
    """One of the tools, and the list of what it has made."""
    module, made = importlib.import_module(request.param), []
    monkeypatch.setattr(module, "make", made.append)
    return module, made


def test_all_names_are_checked_before_anything_is_made(tool):
    module, made = tool
    module.main([])
    names = list(made)
    made.clear()
    module.main(names[:2])
    assert made == names[:2] and len(names) >= 3
    made.clear()
    with pytest.raises(SystemExit) as ended:
        module.main([names[0], "nope"])
    assert ended.value.code == f"name must be one of {', '.join(names)}, got 'nope'" and made == []


def test_provenance_says_where_and_when_something_was_made():
    made = runtime.provenance(("numpy", "no-such-package"))
    assert list(made) == ["versions", "cpu", "cores", "date"]
    assert made["versions"] == {"python": platform.python_version(), "numpy": np.__version__, "no-such-package": None}
    assert made["cpu"] == runtime.cpu_name() and made["cores"] == runtime.cores() and re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])
