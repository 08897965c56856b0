"""The quiet start, the doctor, and the files that are written whole."""

import os
import subprocess
import sys

import pytest

from kdcourse import __main__ as command
from kdcourse import doctor, files, runtime


def python(code, **environment):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)


def test_tensorflow_starts_without_a_word():
    done = python("from kdcourse import runtime; runtime.quiet_start(); import keras; keras.ops.ones(3) + 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failed_import_shows_the_real_error(tmp_path):
    broken = "import os\nos.write(2, b'the linker has something to say')\nraise ImportError('no such library')"
    (tmp_path / "tensorflow.py").write_text(broken)
    done = python("from kdcourse import runtime; runtime.quiet_start()", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "the linker has something to say" in done.stderr and "no such library" in done.stderr


def test_another_backend_is_refused():
    code = "import sys, types; keras = types.ModuleType('keras'); keras.backend = types.SimpleNamespace(backend=lambda: 'jax')\n"
    code += "sys.modules['keras'] = keras; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
    done = python(code + "from kdcourse import runtime; runtime.quiet_start()")
    assert "RuntimeError: KERAS_BACKEND must be tensorflow, got jax" in done.stderr


def test_doctor_prints_versions_machine_and_data():
    done = subprocess.run([sys.executable, "-m", "kdcourse", "doctor"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    for expected in ("tensorflow ", "keras ", "cores ", "memory ", "data mnist-5k", "data mnist ", "mnist-5k-teacher"):
        assert expected in done.stdout


def test_doctor_names_what_is_missing_with_the_command_that_gets_it(monkeypatch):
    versions = {"python": "3.12.0", "kdcourse": "0.1.0", "keras": None, "jupyterlab": None}
    monkeypatch.setattr(doctor.runtime, "versions", lambda: versions)
    monkeypatch.setattr(doctor.runtime, "memory_gb", lambda: (2.0, 0.7))
    monkeypatch.setattr(doctor.datasets, "where", lambda name: None if name == "mnist" else "here")
    missing = "\n".join(doctor.report()[1])
    assert "keras is not installed: pip install 'keras>=" in missing
    assert "0.7 GB are free: shut down other notebooks" in missing
    assert "datasets.load('mnist')" in missing and "jupyterlab" not in missing


def test_doctor_survives_a_wrong_folder_and_a_missing_package(monkeypatch):
    def no_psutil():
        raise ImportError("psutil")

    monkeypatch.setenv("KDCOURSE_DATA", "no/such/folder")
    monkeypatch.setattr(doctor.runtime, "memory_gb", no_psutil)
    lines, missing = doctor.report()
    assert "KDCOURSE_DATA must name a folder, got 'no/such/folder'" in missing
    assert any(line.startswith("memory") and line.endswith("unknown") for line in lines)


def test_memory_is_that_of_the_container(monkeypatch):
    monkeypatch.setenv("MEM_LIMIT", "1073741824")
    total, free = doctor.runtime.memory_gb()
    assert total <= 1.08 and free <= total


def test_wrong_calls_of_the_command_line(capsys):
    assert command.main(["docter"]) == 2 and command.main([]) == 2
    assert "usage: python -m kdcourse doctor" in capsys.readouterr().err


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with files.written_whole(target) as temporary:
        temporary.write_text("one")
    with pytest.raises(RuntimeError), files.written_whole(target) as temporary:
        temporary.write_text("two")
        raise RuntimeError("power cut")
    assert target.read_text() == "one" and list(target.parent.iterdir()) == [target]


def test_unknown_data_file_names_what_is_there():
    with pytest.raises(FileNotFoundError, match="data folder has no 'teachers/nobody.npz'; it has .*mnist-5k-teacher.npz"):
        files.data_path("teachers", "nobody.npz")


@pytest.mark.parametrize("lost", ["sys.stderr = None", "os.close(2)", "tempfile.tempdir = '/nowhere'"])
def test_a_process_without_standard_error_or_temporary_folder_runs(lost):
    code = f"""import os, sys, tempfile
from kdcourse import runtime
{lost}
with runtime.stderr_held_back():
    print("ran")
try:
    with runtime.stderr_held_back():
        raise KeyError("of the block")
except KeyError:
    print("told")"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "ran\ntold\n")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("model name : x\nflags\t\t: fpu avx2 avx512_vnni\n", True),
        ("flags : fpu avx_vnni avx2\n", True),
        ("Features\t: fp asimd asimddp\n", True),
        ("flags : fpu avx2 avx512f\n", False),
        ("model name : with avx_vnni\n", None),
    ],
)
def test_whether_the_processor_has_a_dot_product_of_8_bits(tmp_path, told, expected):
    (tmp_path / "cpuinfo").write_text(told)
    assert runtime.has_dot_product(str(tmp_path / "cpuinfo")) is expected
    assert runtime.has_dot_product(str(tmp_path / "nowhere")) is None
    assert runtime.has_dot_product() in (True, False, None)
