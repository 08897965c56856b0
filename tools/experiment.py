"""Run an experiment of a lesson over seeds: ``python tools/experiment.py NAME --seeds "0 1 2" [--record]``, or ``--list``.

The function that runs is the one on the page: the cell tagged ``experiment``, after the cells tagged ``experiment-setup`` above it.
"""

import argparse
import ast
import concurrent.futures
import datetime
import hashlib
import json
import linecache
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kdcourse import evidence, records, runtime
from kdcourse.files import written_whole
from lessons import ROOT, read, slugs, tags

PACKAGES = ("tensorflow", "keras", "numpy", "kdcourse")


@dataclass(frozen=True)
class Experiment:
    """An experiment as it stands in a lesson; `source` is all that is executed, its hash ties a record to the page."""

    name: str
    lesson: str
    source: str

    @property
    def sha256(self) -> str:
        """The hash that a record keeps as ``source_sha256``; blank lines do not count, so that a long cell may be split."""
        return hashlib.sha256("\n".join(line for line in self.source.splitlines() if line.strip()).encode()).hexdigest()

    def function(self):
        """Execute the cells in a fresh namespace and return the function."""
        filename = f"<lessons/{self.lesson}.py: {self.name}>"
        linecache.cache[filename] = (len(self.source), None, self.source.splitlines(True), filename)  # tf.function reads the source again
        namespace = {"__name__": "experiment"}
        exec(compile(self.source, filename, "exec"), namespace)
        return namespace[self.name]


def find_all(root: Path = ROOT) -> dict[str, Experiment]:
    """Return all experiments of all lessons by name, in the order of the course.

    Raises:
        ValueError: two lessons use one name.
    """
    found = {}
    for slug in slugs(root):
        setup = []
        for cell in read(slug, root):
            if "experiment-setup" in tags(cell):
                setup.append(cell.source)
            if "experiment" in tags(cell):
                for name in marked(cell.source):
                    if name in found:
                        raise ValueError(f"an experiment's name must be used once, got {name} in {found[name].lesson} and {slug}")
                    found[name] = Experiment(name, slug, "\n\n".join([*setup, cell.source]) + "\n")
    return found


def marked(source: str) -> list[str]:
    """Return the functions decorated with ``@evidence.experiment(...)``; a cell may hold their helpers too."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return [f.name for f in functions if any(ast.unparse(d).startswith(("evidence.experiment(", "experiment(")) for d in f.decorator_list)]


def status(experiment: Experiment, root: Path = ROOT) -> str:
    """Return "current", "stale" (the page has changed since) or "no record"."""
    path = _record_path(experiment.name, root)
    if not path.is_file():
        return "no record"
    return "current" if json.loads(path.read_text(encoding="utf-8"))["source_sha256"] == experiment.sha256 else "stale"


def _one_seed(experiment: Experiment, seed: int) -> tuple[dict[str, float], float]:
    """Return ({arm: metric}, seconds) of one seed; what a process of its own runs."""
    began = time.monotonic()
    values = evidence.run(experiment.function(), [seed])["values"]
    return {arm: numbers[0] for arm, numbers in values.items()}, time.monotonic() - began


def _use_one_thread() -> None:
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before TensorFlow starts


def _in_parallel(experiment: Experiment, seeds: list[int], jobs: int):
    """Yield (seed, {arm: metric}, seconds) as they come, from `jobs` processes of one thread each.

    Small networks hardly use a second core: two processes are nearly twice as fast as one with two threads.
    """
    with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _use_one_thread) as pool:
        waiting = {pool.submit(_one_seed, experiment, seed): seed for seed in seeds}
        try:
            for done in concurrent.futures.as_completed(waiting):
                yield waiting[done], *done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run(experiment: Experiment, seeds: list[int], root: Path = ROOT, record: bool = False, jobs: int = 1) -> dict:
    """Run `experiment` over `seeds`, a line of progress for each, `jobs` seeds at a time, and return its record.

    With `record` each seed's result is kept in build/experiments/ as it comes, so that an interrupted run goes on where it
    stopped, and the record is written to data/experiments/ at the end. Without it nothing is written.
    """
    notes = root / "build" / "experiments" / f"{experiment.name}-{experiment.sha256[:12]}.jsonl"
    kept = {note["seed"]: note for note in (_read_notes(notes) if record else []) if note["seed"] in seeds}
    if kept:
        print(f"taken over from an interrupted run: seeds {' '.join(map(str, kept))}", flush=True)
    function = experiment.function()

    def keep(seed, values, seconds):
        kept[seed] = {"seed": seed, "values": values, "seconds": round(seconds, 2)}
        numbers = "  ".join(f"{arm} {value:.4f}" for arm, value in values.items())
        print(f"seed {seed}: {numbers}  ({seconds:.1f} s)", flush=True)
        if record:
            _write_notes(notes, kept.values())

    missing = [seed for seed in seeds if seed not in kept]
    for result in _in_parallel(experiment, missing, jobs) if jobs > 1 else ((seed, *_one_seed(experiment, seed)) for seed in missing):
        keep(*result)
    result = evidence.as_record(function, {seed: kept[seed]["values"] for seed in seeds})
    if record:
        result |= {
            "source_sha256": experiment.sha256,
            "versions": runtime.versions(PACKAGES),
            "cpu": runtime.cpu_name(),
            "cores": 1 if jobs > 1 else runtime.cores(),
            "seconds": round(sum(note["seconds"] for note in kept.values()), 1),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        records.save(result, _record_path(experiment.name, root).parent)
        notes.unlink(missing_ok=True)
    return result


def _record_path(name: str, root: Path) -> Path:
    return root / "data" / "experiments" / f"{name}.json"


def _read_notes(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _write_notes(path: Path, notes) -> None:
    with written_whole(path) as temporary:  # whole each time: no half line after a power cut
        temporary.write_text("".join(json.dumps(note) + "\n" for note in notes), encoding="utf-8")


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(word) for word in text.split()]
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f'--seeds must be different whole numbers >= 0, separated by spaces, as in "0 1 2", got {text!r}')
    return seeds


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="", help="the experiment's function")
    parser.add_argument("--seeds", default="0 1 2 3 4", help='for example "0 1 2" (default: "%(default)s")')
    parser.add_argument("--record", action="store_true", help="write data/experiments/NAME.json as well")
    parser.add_argument("--jobs", type=int, default=1, help="seeds that run at the same time, each on one core (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list all experiments, and whether their record is current")
    given = parser.parse_args(arguments)
    try:
        experiments, seeds = find_all(root), _seeds(given.seeds)
        if not given.list and given.name not in experiments:
            raise ValueError(f"NAME must be one of {', '.join(experiments) or '(no lesson has an experiment)'}, got {given.name!r}")
        if given.jobs < 1:
            raise ValueError(f"--jobs must be >= 1, got {given.jobs}")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if given.list:
        for name, experiment in experiments.items():
            print(f"{name:32} lessons/{experiment.lesson}.py  {status(experiment, root)}")
        for path in sorted((root / "data" / "experiments").glob("*.json")):
            if path.stem not in experiments:
                print(f"{path.stem:32} in no lesson: delete {path.relative_to(root)}")
        return 0
    try:
        print(evidence.table(run(experiments[given.name], seeds, root, given.record, given.jobs)))
    except KeyboardInterrupt:
        print("interrupted" + ("; the same command goes on where it stopped" if given.record else ""), file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
