"""Run an experiment of a lesson over seeds: ``python tools/experiment.py NAME --seeds "0 1 2" [--record]``, or ``--list``.

The function that runs is the one on the page: the cell tagged ``experiment``, after the cells tagged ``experiment-setup`` above it.

    --record       writes data/experiments/NAME.json, tied to the code on the page
    --replicate    runs other seeds with the same code and writes them beside the values of the record
    --restamp      runs one recorded seed again and, if it agrees with the record, ties the record to the code as it stands now
    --restamp-all  does so for every record, the longest first; what has agreed is not run again until all agree, then all count as new

What an interrupted run has finished is kept in build/experiments/, one file for each seed; the same command goes on where it stopped.
"""

import argparse
import concurrent.futures
import json
import linecache
import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import code_hash
from chapters import ROOT, read, slugs, tags

from kdcourse import evidence, runtime
from kdcourse.checks import refuse
from kdcourse.files import written_whole

PACKAGES = ("tensorflow", "keras", "numpy", "kdcourse")
MADE_BY = ("versions", "cpu", "cores", "seconds", "date", "replication")  # of a record; a restamp leaves them as they are
SEEDS = "0 1 2 3 4"
SURELY = 4  # standard deviations over the seeds that one seed may be off when it runs again
ALLOWED = 0.03  # and what it may be off in any case: 3 points


@dataclass(frozen=True)
class Experiment:
    """An experiment as it stands in a lesson; `source` is all that is executed, and its function `defined` makes the record `name`."""

    name: str
    lesson: str
    source: str
    defined: str
    sentinel: bool = False

    @property
    def sha256(self) -> str:
        """The hash that a record keeps as ``code_sha256``: of the code that this experiment runs, however it is written."""
        return code_hash.sha256(self.source, self.defined, self.name if self.name != self.defined else None)

    def page(self) -> dict:
        """Execute the cells in a fresh namespace and return it."""
        filename = f"<lessons/{self.lesson}.py: {self.name}>"
        linecache.cache[filename] = (len(self.source), None, self.source.splitlines(True), filename)  # tf.function reads the source again
        namespace = {"__name__": "experiment"}
        exec(compile(self.source, filename, "exec"), namespace)
        return namespace

    def function(self):
        """Execute the cells and return the function of the seed."""
        found = self.page()[self.defined]
        return found if self.name == self.defined else found.cases[self.name]


def find_all(root: Path = ROOT) -> dict[str, Experiment]:
    """Return all experiments of all lessons by name, in the order of the course.

    Raises:
        ValueError: two experiments use one name, or an experiment's cases are not written out.
    """
    found = {}
    for slug in slugs(root):
        setup = []
        for cell in read(slug, root):
            if "experiment-setup" in tags(cell):
                setup.append(cell.source)
            if "experiment" in tags(cell):
                for name, (defined, sentinel) in code_hash.marked(cell.source, f"lessons/{slug}.py").items():
                    if name in found:
                        raise ValueError(f"an experiment's name must be used once, got {name} in {found[name].lesson} and {slug}")
                    found[name] = Experiment(name, slug, "\n\n".join([*setup, code_hash.unshown(cell.source)]) + "\n", defined, sentinel)
    return found


marked = code_hash.marked


def status(experiment: Experiment, root: Path = ROOT) -> str:
    """Return "current", "stale" (the code on the page has changed since) or "no record"."""
    record = _record(experiment.name, root)
    return "no record" if record is None else "current" if record.data.get("code_sha256") == experiment.sha256 else "stale"


# --- one seed, or several ---


def _one_seed(experiment: Experiment, seed: int) -> tuple[evidence.Record, float]:
    """Return (the record of one seed, seconds); what a process of its own runs."""
    began = time.monotonic()
    return evidence.run(experiment.function(), [seed]), time.monotonic() - began


def _use_one_thread() -> None:
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before TensorFlow starts


def _in_parallel(tasks: list[tuple[Experiment, int]], jobs: int, each_alone: bool = False):
    """Yield (experiment, seed, a future that is done) as they come, from `jobs` processes of one thread; `each_alone`: a new one for each.

    Small networks hardly use a second core: two processes are nearly twice as fast as one with two threads.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, spawn, _use_one_thread, max_tasks_per_child=1 if each_alone else None) as pool:
        waiting = {pool.submit(_one_seed, *task): task for task in tasks}
        try:
            for done in concurrent.futures.as_completed(waiting):
                yield *waiting[done], done
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run(experiment: Experiment, seeds: list[int], root: Path = ROOT, jobs: int = 1, keep: bool = False) -> tuple[evidence.Record, dict]:
    """Run `experiment` over `seeds`, a line of progress for each, `jobs` seeds at a time; return its record and where it was made.

    With `keep` each seed's result is kept in build/experiments/ as it comes, so that an interrupted run goes on where it stopped.
    """
    folder, kept, function = _kept_in(experiment, root), {}, experiment.function()
    if keep:
        kept = {seed: note for seed in seeds if (note := _read(folder / f"{seed}.json"))}
        if kept:
            print(f"taken over from an interrupted run: seeds {' '.join(map(str, kept))}", flush=True)
    missing = [seed for seed in seeds if seed not in kept]
    if jobs > 1:
        results = ((seed, *done.result()) for _, seed, done in _in_parallel([(experiment, seed) for seed in missing], jobs))
    else:
        results = ((seed, *_one_seed(experiment, seed)) for seed in missing)
    for seed, found, seconds in results:
        values = _only(found)
        kept[seed] = {"seed": seed, "values": values, "seconds": round(seconds, 2)}
        if keep:  # before the line is printed: what was seen is not lost
            _write(folder / f"{seed}.json", kept[seed])
        numbers = "  ".join(f"{variant} {value:.4f}" for variant, value in values.items())
        print(f"seed {seed}: {numbers}  ({seconds:.1f} s)", flush=True)
    record = evidence.as_record(function, {seed: kept[seed]["values"] for seed in seeds})
    where = runtime.provenance(PACKAGES)
    where = {"versions": where["versions"], "cpu": where["cpu"], "cores": 1 if jobs > 1 else where["cores"]} | {
        "seconds": round(sum(kept[seed]["seconds"] for seed in seeds), 1),
        "date": where["date"],
    }
    return record, where


def record(experiment: Experiment, seeds: list[int], root: Path = ROOT, jobs: int = 1) -> evidence.Record:
    """Run `experiment` over `seeds` and write its record; return it.

    A replication stays if it ran the same code on other seeds, otherwise it goes.
    """
    fresh, where = run(experiment, seeds, root, jobs, keep=True)
    before = _record(experiment.name, root)
    made = dict(fresh) | {"code_sha256": experiment.sha256} | where
    if before and "replication" in before.keys():
        if status(experiment, root) == "current" and not set(before["replication"]["seeds"]) & set(seeds):
            made["replication"] = before["replication"]
        else:
            print("the record's replication ran other code or some of these seeds: it is left out")
    evidence.save(made, _path(experiment.name, root).parent)
    _forget(experiment, seeds, root)
    return evidence.Record(made)


def replicate(experiment: Experiment, seeds: list[int], root: Path = ROOT, jobs: int = 1) -> evidence.Record:
    """Run `experiment` over other seeds, write them into its record as ``replication``, and return the record.

    Raises:
        ValueError: no record, a record of other code, or seeds that the record has.
    """
    check_replication(experiment, seeds, root)
    fresh, where = run(experiment, seeds, root, jobs, keep=True)
    check_replication(experiment, seeds, root)  # the record may be another one by now
    second = {key: fresh[key] for key in ("seeds", "values", "comparisons")} | where
    made = dict(_record(experiment.name, root)) | {"replication": second}
    evidence.save(made, _path(experiment.name, root).parent)
    _forget(experiment, seeds, root)
    return evidence.Record(made)


def check_replication(experiment: Experiment, seeds: list[int], root: Path = ROOT) -> None:
    """Refuse a replication without a current record, or on its seeds.

    Raises:
        ValueError: that.
    """
    found = status(experiment, root)
    if found != "current":
        raise ValueError(f"a replication needs a current record of {experiment.name}, got {found if found != 'stale' else 'a stale one'}")
    if both := sorted(set(seeds) & set(_record(experiment.name, root).seeds)):
        raise ValueError(f"the seeds of a replication must not be those of the record, got {' '.join(map(str, both))} in both")


def _only(record: evidence.Record) -> dict[str, float]:
    return {variant: number for variant, (number,) in record.values.items()}


# --- does a record still agree? ---


class Differs(ValueError):
    """A seed that ran again does not agree with its record; `what` names the variants and the numbers."""

    def __init__(self, name: str, seed: int, what: str):
        """Make the sentence."""
        super().__init__(f"seed {seed} of {name} does not agree with its record: {what}")
        self.what = what


def distances(record: evidence.Record, seed: int, rerun: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Return {variant: (distance of `rerun` from the recorded value of `seed`, what is allowed)}.

    Allowed are 4 standard deviations over the seeds, or 3 points (0.03 of another unit) if that is more. A deviation over fewer than
    5 seeds says little; there the root mean square over all variants counts if it is more.

    Raises:
        Differs: `rerun` has other variants than the record.
    """
    if set(rerun) != set(record.values):
        raise Differs(record.name, seed, f"variants {', '.join(rerun)} today, {', '.join(record.values)} in the record")
    place = record.seeds.index(seed)
    deviation = {variant: statistics.stdev(numbers) if len(numbers) > 1 else 0.0 for variant, numbers in record.values.items()}
    together = statistics.fmean(d**2 for d in deviation.values()) ** 0.5 if len(record.seeds) < evidence.LEAST_SEEDS else 0.0
    return {
        variant: (abs(rerun[variant] - numbers[place]), max(ALLOWED, SURELY * max(deviation[variant], together)))
        for variant, numbers in record.values.items()
    }


def outside(record: evidence.Record, seed: int, rerun: dict[str, float]) -> list[str]:
    """Return a phrase for each variant of `rerun` that is further from the record than is allowed (see `distances`)."""
    place = record.seeds.index(seed)
    return [
        f"{variant}: {rerun[variant]:.4g} today, {record.values[variant][place]:.4g} in the record, {allowed:.2g} allowed"
        for variant, (distance, allowed) in distances(record, seed, rerun).items()
        if distance > allowed
    ]


def hold_against(experiment: Experiment, rerun: evidence.Record, seconds: float, root: Path = ROOT) -> dict:
    """Hold the record of one seed that ran again against the record; if it agrees, tie the record to the code on the page.

    The record then takes over what the decorator says (its metric, its comparisons, its grid), and ``restamped`` says when which seed ran
    again; values, date, seconds and versions stay. A record that is current and agrees is left as it is.

    Returns:
        {"seed", "seconds", "distance", "allowed", "variant"} of the variant that is furthest off, measured by what is allowed.

    Raises:
        Differs: it does not agree; nothing is written.
    """
    found, seed, values = _record(experiment.name, root), rerun.seeds[0], _only(rerun)
    if wrong := outside(found, seed, values):
        raise Differs(experiment.name, seed, "; ".join(wrong))
    if status(experiment, root) == "stale":
        where = runtime.provenance(PACKAGES)
        made = dict(rerun.on(found.seeds, found.values)) | {"code_sha256": experiment.sha256}
        made |= {key: found[key] for key in MADE_BY if key in found.keys()}
        if again := found.replication:
            made["replication"] = found["replication"] | {"comparisons": rerun.on(again.seeds, again.values)["comparisons"]}
        made["restamped"] = {"date": where["date"], "seed": seed, "seconds": round(seconds, 1), "versions": where["versions"]}
        evidence.save(made, _path(experiment.name, root).parent)
    far = distances(found, seed, values)
    variant = max(far, key=lambda name: far[name][0] / far[name][1])
    return {"seed": seed, "seconds": round(seconds, 1), "distance": far[variant][0], "allowed": far[variant][1], "variant": variant}


def restamp_all(experiments: dict[str, Experiment], root: Path = ROOT, jobs: int = 2) -> list[tuple]:
    """Run the first seed of every record again, the longest first; print each as it comes, and restamp those that agree.

    What has agreed is kept in build/experiments/agreed/ under the hash of its code and not run again, until all records agree: the next
    call then runs all of them again.

    Returns:
        (name, lesson, seconds, largest distance, verdict) of each, in the order of the course. A verdict is "ok", "no record", or begins
        with "differs: " or "failed: ".
    """
    agreed, rows, tasks = root / "build" / "experiments" / "agreed", {}, []
    for name, experiment in experiments.items():
        found, note = _record(name, root), _read(agreed / f"{_key(experiment)}.json")
        if found is None:
            rows[name] = ("", "", "no record")
        elif note and status(experiment, root) == "current":
            rows[name] = _row(note)
        else:
            tasks.append((found["seconds"] / len(found.seeds), experiment, found.seeds[0]))
    if any(row[-1] == "ok" for row in rows.values()):
        print(f"agreed before, not run again: {' '.join(name for name, row in rows.items() if row[-1] == 'ok')}", flush=True)
    tasks = [(experiment, seed) for _, experiment, seed in sorted(tasks, key=lambda task: -task[0])]
    for experiment, _, done in _in_parallel(tasks, jobs, each_alone=True):
        try:
            note = hold_against(experiment, *done.result(), root)
            _write(agreed / f"{_key(experiment)}.json", note)
            rows[experiment.name] = _row(note)
        except Differs as error:
            rows[experiment.name] = ("", "", f"differs: {error.what}")
        except BrokenProcessPool:
            rows[experiment.name] = ("", "", "failed: its process was ended from outside")
        except Exception as error:  # one experiment that cannot run says nothing about the others
            rows[experiment.name] = ("", "", f"failed: {type(error).__name__}: {' '.join(str(error).split())}"[:300])
        print(f"{experiment.name}: {'  '.join(part for part in rows[experiment.name] if part)}", flush=True)
    if all(row[-1] == "ok" for row in rows.values()):
        for path in agreed.glob("*.json"):
            path.unlink()
    return [(name, experiment.lesson, *rows[name]) for name, experiment in experiments.items()]


def _row(note: dict) -> tuple[str, str, str]:
    return f"{note['seconds']:.0f} s", f"{note['distance']:.4f} of {note['allowed']:.4f} ({note['variant']})", "ok"


# --- files ---


def _path(name: str, root: Path) -> Path:
    return root / "data" / "experiments" / f"{name}.json"


def _record(name: str, root: Path) -> evidence.Record | None:
    found = _read(_path(name, root))
    return None if found is None else evidence.Record(found)


def _key(experiment: Experiment) -> str:
    return f"{experiment.name}-{experiment.sha256[:12]}"


def _kept_in(experiment: Experiment, root: Path) -> Path:
    """Return the folder of an experiment's finished seeds. A file for each, written whole: two processes cannot disturb each other."""
    return root / "build" / "experiments" / _key(experiment)


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _write(path: Path, note: dict) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(note) + "\n", encoding="utf-8")


def _forget(experiment: Experiment, seeds: list[int], root: Path) -> None:
    """Remove what was kept of seeds that are in a record now; other seeds stay."""
    folder = _kept_in(experiment, root)
    for seed in seeds:
        (folder / f"{seed}.json").unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


# --- the command ---


def _seeds(text: str) -> list[int]:
    try:
        return evidence.checked_seeds(int(word) for word in text.split())
    except ValueError:
        allowed = f"different whole numbers in 0..{evidence.MOST_SEED}, separated by spaces, as in \"0 1 2\""
        raise ValueError(f"--seeds must be {allowed}, got {text!r}") from None


def _asked(given: argparse.Namespace) -> str:
    """Return which one of record, replicate and restamp is asked for, or ""."""
    asked = []
    for name in ("record", "replicate", "restamp"):
        value = getattr(given, name)
        if value not in ("", "0", "1"):
            refuse(f"--{name}", "0, 1 or empty", repr(value))
        asked += [name] * (value == "1")
    if len(asked) > 1:
        refuse("a run", "one of --record, --replicate and --restamp", " and ".join(f"--{name}" for name in asked))
    return asked[0] if asked else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="", help="the experiment's function, or one of its cases")
    parser.add_argument("--seeds", help=f'for example "0 1 2" (default: "{SEEDS}"; with --restamp one recorded seed, the first)')
    for name in ("record", "replicate", "restamp"):
        parser.add_argument(f"--{name}", nargs="?", const="1", default="", metavar="0|1", help="see above")
    parser.add_argument("--restamp-all", action="store_true", help="see above")
    parser.add_argument("--jobs", type=int, default=1, help="seeds that run at the same time, each on one core (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list all experiments, and whether their record is current")
    return parser


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit code: 0, 1 for a record that does not agree, 2 for a bad argument, 130 if interrupted."""
    given = _parser().parse_args(arguments)
    try:
        experiments, asked = find_all(root), _asked(given)
        if given.jobs < 1:
            raise ValueError(f"--jobs must be >= 1, got {given.jobs}")
        if not given.list and not given.restamp_all and given.name not in experiments:
            raise ValueError(f"NAME must be one of {', '.join(experiments) or '(no lesson has an experiment)'}, got {given.name!r}")
        if given.list:
            return _list(experiments, root)
        if not given.restamp_all:
            experiment = experiments[given.name]
            seeds = _seeds_to_run(experiment, asked, given.seeds, root)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        if given.restamp_all:
            return _tell(restamp_all(experiments, root, given.jobs))
        if asked == "restamp":
            return _restamp(experiment, *seeds, root)
        if asked:
            made = (record if asked == "record" else replicate)(experiment, seeds, root, given.jobs)
        else:
            made, _ = run(experiment, seeds, root, given.jobs)
        print(evidence.table(made))
    except KeyboardInterrupt:
        goes_on = given.restamp_all or asked in ("record", "replicate")
        print("interrupted" + ("; the same command goes on where it stopped" if goes_on else ""), file=sys.stderr)
        return 130
    return 0


def _seeds_to_run(experiment: Experiment, asked: str, text: str | None, root: Path) -> list[int]:
    if asked != "restamp":
        seeds = _seeds(SEEDS if text is None else text)
        if asked == "replicate":
            check_replication(experiment, seeds, root)
        return seeds
    found = _record(experiment.name, root)
    if found is None:
        raise ValueError(f"{experiment.name} has no record that could be restamped; --record makes one")
    seeds = _seeds(text) if text else found.seeds[:1]
    if len(seeds) != 1 or seeds[0] not in found.seeds:
        raise ValueError(f"--seeds must be one of the record's, {' '.join(map(str, found.seeds))}, got {text!r}")
    return seeds


def _restamp(experiment: Experiment, seed: int, root: Path) -> int:
    was, rerun = status(experiment, root), _one_seed(experiment, seed)
    try:
        note = hold_against(experiment, *rerun, root)
    except Differs as error:
        print(error, file=sys.stderr)
        return 1
    far = f"largest distance {note['distance']:.4f} of {note['allowed']:.4f} allowed, {note['variant']}"
    tied = "its record is tied to the page's code now" if was == "stale" else "its record was current and stays as it is"
    print(f"seed {seed} of {experiment.name} agrees ({note['seconds']:.1f} s; {far}): {tied}")
    return 0


def _tell(rows: list[tuple]) -> int:
    print(f"\n{'experiment':32}{'lesson':28}{'seconds':>8}  largest distance")
    for name, lesson, seconds, far, verdict in rows:
        print(f"{name:32}{lesson:28}{seconds:>8}  {far}{'  ' * bool(far)}{verdict}")
    wrong = [name for name, *_, verdict in rows if verdict != "ok"]
    print(f"{len(rows) - len(wrong)} of {len(rows)} records agree" + (f"; look at {', '.join(wrong)}" if wrong else ""))
    return 1 if wrong else 0


def _list(experiments: dict[str, Experiment], root: Path) -> int:
    for name, experiment in experiments.items():
        print(f"{name:32} lessons/{experiment.lesson}.py  {status(experiment, root)}{'  (sentinel)' * experiment.sentinel}")
    for path in sorted((root / "data" / "experiments").glob("[!.]*.json")):
        if path.stem not in experiments:
            print(f"{path.stem:32} in no lesson: delete {path.relative_to(root)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
