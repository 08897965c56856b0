"""A quiet start of TensorFlow, seeds, and a report of the machine."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import sys
import tempfile

from . import checks

PACKAGES = tuple(
    "kdcourse tensorflow keras tf-keras tensorflow-model-optimization numpy scipy matplotlib mlxtend "
    "ipywidgets anywidget jupyterquiz psutil jupyterlab".split()
)

DOT_PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp"}  # of 8-bit integers, as Linux calls them


@contextlib.contextmanager
def stderr_held_back():
    """Keep what is written to file descriptor 2 (C++ included) off the page; show it when the block fails.

    Where there is no standard error, or no folder for a temporary file, nothing is held back and the block runs all the same.
    """
    try:
        real = os.dup(2)
    except OSError:
        yield
        return
    try:
        held = tempfile.TemporaryFile()
    except OSError:
        os.close(real)
        yield
        return
    if sys.stderr is not None:  # a process without a console has none
        sys.stderr.flush()
    with held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(real, 2)
            held.seek(0)
            if sys.stderr is not None:
                sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


def quiet_start() -> None:
    """Import TensorFlow and Keras without their start-up messages; if the import fails, show everything.

    Calling it again costs nothing. The variable ``TF_CPP_MIN_LOG_LEVEL`` is respected when it is set already. If Python itself
    dies here (a processor without AVX), ``python -c "import tensorflow"`` says why.

    Raises:
        RuntimeError: Keras runs on another backend than TensorFlow.
        ImportError: TensorFlow or Keras cannot be imported; the original error.
    """
    if "keras" not in sys.modules or "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the C++ part reads it when it is loaded
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with stderr_held_back():
            import keras
            import tensorflow as tf

            tf.constant(0)  # the first operation has messages of its own
    import keras

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"KERAS_BACKEND must be tensorflow, got {keras.backend.backend()}; set it before Python starts")


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and Keras, so that a run can be repeated on the same machine.

    Two machines, or another number of threads, still differ in the last bits: compare with tolerances.

    Raises:
        ValueError: `seed` is not an integer in 0..2**32-1.
    """
    seed = checks.whole("seed", seed, 0, 2**32 - 1)
    quiet_start()
    import keras

    keras.utils.set_random_seed(seed)


def cpu_name() -> str:
    """Return the name of this machine's processor, or its architecture where the system does not tell."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def has_dot_product(cpuinfo: str = "/proc/cpuinfo") -> bool | None:
    """Return whether one instruction of this processor multiplies 8-bit integers and adds the products; None where that is not told.

    These are VNNI and AMX of x86, and the dot product of ARM. A processor without them needs several instructions for the same.

    Args:
        cpuinfo: the file in which Linux describes the processor; elsewhere there is none.
    """
    with contextlib.suppress(OSError), open(cpuinfo, encoding="utf-8") as lines:
        for line in lines:
            name, _, words = line.partition(":")
            if name.strip() in ("flags", "Features"):  # x86, ARM
                return not DOT_PRODUCTS.isdisjoint(words.split())
    return None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(packages=PACKAGES) -> dict[str, str | None]:
    """Return {package: version, or None where it is not installed}, without importing any of them."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def provenance(packages=PACKAGES) -> dict:
    """Return where and when something was made, for the file beside it: {"versions", "cpu", "cores", "date" (UTC, ISO 8601)}."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"versions": versions(packages), "cpu": cpu_name(), "cores": cores(), "date": date}


def memory_gb() -> tuple[float, float]:
    """Return (total, available) memory in GB (10**9 bytes): the machine's, or the container's limit where that is less (Binder, Docker)."""
    import psutil

    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limits = [os.environ.get("MEM_LIMIT", "")]  # set by Binder
    with contextlib.suppress(OSError), open("/sys/fs/cgroup/memory.max", encoding="utf-8") as file:
        limits.append(file.read().strip())
    for limit in limits:
        if limit.isdigit() and int(limit) < total:
            total = int(limit)
            free = min(free, total)
    return total / 1e9, free / 1e9
