"""Print, for every notebook, the seconds it takes from top to bottom and the peak resident memory of its kernel.

    python benchmarks/notebooks.py [NOTEBOOK ...]

The limits that the course keeps on 2 cores: 120 s and 1.5 GB a notebook. Timings depend on the machine: nothing is asserted here.
"""

import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


def peak_memory(pid: int, stop: threading.Event) -> int:
    """Watch a process and what it started until `stop`; return the peak of their resident memory together, in bytes."""
    peak, process = 0, psutil.Process(pid)
    while not stop.wait(0.1) and process.is_running():
        total = 0
        with contextlib.suppress(psutil.Error):
            for p in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):  # a child may end between the two looks
                    total += p.memory_info().rss
        peak = max(peak, total)
    return peak


def measure(path: Path) -> tuple[float, float]:
    """Run a notebook in an empty folder; return (seconds, peak memory of the kernel in GB)."""
    notebook, stop, peaks = nbformat.read(path, as_version=4), threading.Event(), []

    def watch(**_):
        pid = client.km.provisioner.process.pid
        watcher = threading.Thread(target=lambda: peaks.append(peak_memory(pid, stop)))
        watcher.start()
        watchers.append(watcher)

    watchers = []
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}, on_notebook_start=watch
        )
        began = time.monotonic()
        try:
            client.execute()
        finally:
            stop.set()
        seconds = time.monotonic() - began
    for watcher in watchers:
        watcher.join()
    return seconds, max(peaks, default=0) / 1e9


def main(paths: list[str]) -> None:
    """Measure the notebooks named, or all of them, one after the other."""
    found = [Path(p) for p in paths] or sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")])
    print(f"{'notebook':44} {'seconds':>8} {'peak GB':>8}   limits: 120 s, 1.5 GB")
    total = 0.0
    for path in found:
        seconds, peak = measure(path)
        total += seconds
        print(f"{path.resolve().relative_to(ROOT).as_posix():44} {seconds:8.1f} {peak:8.2f}", flush=True)
    print(f"{'all':44} {total:8.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
