"""The wheel carries all that a notebook needs when it is opened alone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[1]
ALONE = """
from kdcourse import datasets, evidence, models, quiz
from kdcourse.widgets import TemperatureExplorer
import kdcourse
logits = models.load_logits("mnist-5k-teacher").test
data = datasets.load("mnist-5k")
TemperatureExplorer(data.x_test[:2], data.y_test[:2], logits[:2])
assert evidence.names() and quiz.load("01_soft_labels")
print(kdcourse.__file__)
"""


@pytest.mark.slow
def test_wheel_works_without_the_checkout(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = set(archive.namelist())
    for file in (ROOT / "data").rglob("*.*"):
        assert f"kdcourse/{file.relative_to(ROOT).as_posix()}" in names
    assert wheel.stat().st_size < 20_000_000  # the vectors of the texts are 11 MB of it
    empty = tmp_path / "empty"
    empty.mkdir()
    # -P and PYTHONPATH: the wheel's copy comes first, and the folder of the checkout is nowhere
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-P", "-c", ALONE], cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "site")


def test_an_editable_install_copies_no_data():
    assert WheelBuilder(str(ROOT)).config.get_force_include() == {}
