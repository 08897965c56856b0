"""One hand-written list of dependencies: pyproject.toml, requirements.lock and environment.yml must agree."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

import kdcourse

ROOT = Path(__file__).resolve().parents[1]
ASKED_FOR = {"jupyterlab", "tensorflow", "tensorflow-model-optimization", "matplotlib", "ipywidgets", "nbval"}
# what Colab's runtimes have; the lower bounds must let it stay
COLAB = {"anywidget": "0.9.21", "ipywidgets": "7.7.1", "keras": "3.13.2", "matplotlib": "3.10.0", "mlxtend": "0.23.4", "numpy": "2.1.3",
         "psutil": "5.9.5", "scipy": "1.16.3", "tensorflow": "2.20.0", "tf-keras": "2.20.1"}  # fmt: skip
PYTHONS = ("3.11", "3.12", "3.13")


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(text):
    project = tomllib.loads(text)["project"]
    return [Requirement(r) for r in project["dependencies"] + sum(project["optional-dependencies"].values(), [])]


def locked(text, python):
    """Return {name: version} of the lock's lines that count for a Python version on Linux."""
    machine = {"python_version": python, "python_full_version": f"{python}.8", "sys_platform": "linux", "os_name": "posix"}
    environment = default_environment() | machine
    found = {}
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                (pin,) = requirement.specifier
                assert pin.operator == "==" and plain(requirement.name) not in found, line
                found[plain(requirement.name)] = pin.version
    return found


def disagreements(pyproject, lock, environment):
    """Return one sentence for each place where the three files do not agree."""
    found = []
    for python in PYTHONS:
        pins = locked(lock, python)
        for requirement in declared(pyproject):
            pin = pins.get(plain(requirement.name))
            if pin is None or not requirement.specifier.contains(pin):
                found.append(f"the lock has {pin} of {requirement} for Python {python}")
    content = yaml.safe_load(environment)
    extras = ",".join(tomllib.loads(pyproject)["project"]["optional-dependencies"])
    *conda, pip = content["dependencies"]
    if pip != {"pip": ["-c requirements.lock", f"-e .[{extras}]"]}:
        found.append(f"environment.yml must install the lock's versions and all extras, got {pip}")
    if conda[1:] != ["pip"] or conda[0].removeprefix("python=") not in PYTHONS:
        found.append(f"environment.yml must ask conda for one of Python {PYTHONS} and pip only, got {conda}")
    return found


FILES = [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "requirements.lock", "environment.yml")]


def test_the_three_files_agree():
    assert disagreements(*FILES) == []


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        (0, '"jupyterlab>=4.4"', '"jupyterlab>=99"'),
        (0, '"psutil>=5.9"', '"psutil>=5.9", "torch>=2"'),
        (1, "\nnbval==", "\nnbval-not=="),
        (2, "-c requirements.lock", "-c other.lock"),
        (2, ".[lab,dev]", ".[lab]"),
        (2, "python=3.12", "python=3.9"),
        (2, "  - pip\n", "  - pip\n  - tensorflow\n"),
    ],
)
def test_a_disagreement_is_seen(place, old, new):
    files = list(FILES)
    assert old in files[place]
    files[place] = files[place].replace(old, new)
    assert disagreements(*files)


def test_what_was_asked_for_is_there_and_colab_may_keep_what_it_has():
    requirements = {plain(r.name): r for r in declared(FILES[0])}
    assert ASKED_FOR <= set(requirements)
    for name, version in COLAB.items():
        assert requirements[name].specifier.contains(version), f"Colab has {name} {version}, pyproject.toml asks for {requirements[name]}"


def test_one_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    assert cited == kdcourse.__version__ == importlib.metadata.version("kdcourse")


def test_lock_names_no_index():
    assert "://" not in FILES[1] and "--" not in FILES[1]
