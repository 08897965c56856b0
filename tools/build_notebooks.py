"""Build the notebooks from the lessons: ``python tools/build_notebooks.py [SLUG ...] [-j 2]``, or compare them with ``--check``.

Each lesson becomes two executed notebooks: the learner's (``notebooks/``) and the solved one (``notebooks/solutions/``).
The same lesson gives the same files, up to what its cells print. ``--tests`` compares, and writes for each lesson the one notebook that
nbval runs to test both (``build/test_notebooks/``).
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
import uuid
from itertools import zip_longest
from pathlib import Path

import nbformat
import stills
from chapters import KERNEL, LANGUAGE, ROOT, LessonError, both, notebook, notebook_path, slugs, tags
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from kdcourse.files import written_whole

TESTS = "build/test_notebooks"
CELL_SECONDS = 600
FOLDERS = re.compile(r"[^\s\x1b\"']*/(?=(?:site-packages|kdcourse|python3\.\d+)/)")  # what comes before them in a traceback's paths
WIDGETS = "application/vnd.jupyter.widget-state+json"


class _ThisPython(KernelSpecManager):
    """The kernel of the Python that runs the build, whatever kernels the machine has besides."""

    def get_kernel_spec(self, kernel_name):
        argv = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=KERNEL["display_name"], language="python")


def _environment(profile: Path, empty: Path) -> dict[str, str]:
    """Return the kernel's environment: no start-up files and no data folders of the author's own, so that none shows in an output."""
    kept = {name: value for name, value in os.environ.items() if name != "KDCOURSE_DATA"}
    return kept | {"IPYTHONDIR": str(profile), "KERAS_HOME": str(empty / ".keras")}


async def execute(made, name: str) -> None:
    """Execute a notebook in place, in an empty folder.

    Raises:
        LessonError: a cell failed (unless it is tagged raises-exception), took too long, or the kernel died; says which.
    """
    with tempfile.TemporaryDirectory() as folder:
        empty, profile = Path(folder, "empty"), Path(folder, "profile")
        empty.mkdir()
        client = NotebookClient(
            made,
            km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=_ThisPython()),
            timeout=CELL_SECONDS,
            record_timing=False,
            coalesce_streams=True,
            store_widget_state=True,
            resources={"metadata": {"path": str(empty)}},
        )
        running = {}
        client.on_cell_start = lambda cell, cell_index: running.update(cell=cell)
        try:
            await client.async_execute(env=_environment(profile, empty))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            source = running["cell"].source if running else "(the kernel did not start)"
            text = re.sub(r"\x1b\[[0-9;]*m", "", str(error.traceback if isinstance(error, CellExecutionError) else error)).strip()
            raise LessonError(f"{name}: this cell failed:\n\n{source}\n\n{text}") from None


def tidied(made, slug: str):
    """Return the executed notebook without what differs between runs and machines: versions, memory addresses, widget ids, folders."""
    made.metadata["language_info"] = LANGUAGE
    for cell in made.cells:
        for output in cell.get("outputs", []):
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", " at 0x...", output.data["text/plain"])
            if output.output_type == "error":
                output.traceback = [FOLDERS.sub("", line) for line in output.traceback]
    text = json.dumps(made)
    for number, model in enumerate(made.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})):
        text = text.replace(model, uuid.uuid5(uuid.NAMESPACE_URL, f"{slug} {number}").hex)
    return nbformat.from_dict(json.loads(text))


async def build(names: list[str], root: Path = ROOT, jobs: int = 1) -> None:
    """Build both notebooks of each lesson in `names`, `jobs` at a time; a notebook is written whole or not at all."""
    # all lessons are read first: a bad one shows before any work is done
    wanted = [(slug, solved, notebook(slug, solved, root)) for slug in names for solved in (False, True)]
    turn = asyncio.Semaphore(jobs)

    async def one(slug, solved, made):
        path = notebook_path(slug, solved)
        async with turn:
            start = time.monotonic()
            await execute(made, path)
            made = tidied(made, slug)
            if about := made.metadata.get("kdcourse"):
                try:
                    await asyncio.to_thread(stills.add_stills, made, about["language"])
                except ValueError as error:
                    raise LessonError(f"{path}: {error}") from None
            nbformat.validate(made)
            with written_whole(root / path) as temporary:
                nbformat.write(made, temporary)
            size = (root / path).stat().st_size / 1000
            print(f"{path}: {len(made.cells)} cells, {time.monotonic() - start:.0f} s, {size:.0f} kB", flush=True)

    async with asyncio.TaskGroup() as group:  # the first failure stops the others and their kernels
        for job in wanted:
            group.create_task(one(*job))


def problems(names: list[str], root: Path = ROOT) -> list[str]:
    """Return one sentence for each notebook of the lessons `names` that does not come from its lesson as it is now."""
    found = []
    for path, fresh in ((notebook_path(slug, solved), notebook(slug, solved, root)) for slug in names for solved in (False, True)):
        if not (root / path).is_file():
            found.append(f"{path}: missing")
            continue
        stored = nbformat.read(root / path, as_version=4)
        here, there = ([(c.get("id"), c.cell_type, c.source, c.metadata) for c in cells] for cells in (stored.cells, fresh.cells))
        for number, (mine, its) in enumerate(zip_longest(here, there)):
            if mine != its:
                found.append(f"{path}: differs from its lesson, first in cell {number}: {(mine or its)[2].partition(chr(10))[0]}")
                break
        counts = [cell.execution_count for cell in stored.cells if cell.cell_type == "code"]
        if counts != list(range(1, len(counts) + 1)):
            found.append(f"{path}: not executed from top to bottom, the cells' numbers are {counts}")
    return found


def write_tests(names: list[str], root: Path = ROOT) -> None:
    """Write the test of each lesson in `names`: what its checks must print is what they print in the two stored notebooks.

    Nothing else has an output there, so that nbval compares nothing else. The stored ones must come from their lessons (see `problems`).
    """
    for slug in names:
        printed = {}
        for solved in (False, True):
            stored = nbformat.read(root / notebook_path(slug, solved), as_version=4)
            printed |= {(cell.id, solved): cell.outputs for cell in stored.cells if "check" in tags(cell)}
        made = both(slug, root)
        for cell in made.cells:
            if "check" in tags(cell):
                identity, _, again = cell.id.partition("-")
                cell.update(execution_count=1, outputs=printed[identity, bool(again)])  # nbval compares no cell without a count
        nbformat.validate(made)
        with written_whole(root / TESTS / f"{slug}.ipynb") as temporary:
            nbformat.write(made, temporary)
    for old in (root / TESTS).glob("*.ipynb"):
        if old.stem not in slugs(root):
            old.unlink()  # of a lesson that was renamed


def strays(root: Path = ROOT) -> list[str]:
    """Return one sentence for each notebook that has no lesson."""
    known = {notebook_path(slug, solved) for slug in slugs(root) for solved in (False, True)}
    stored = sorted(p.relative_to(root).as_posix() for p in (root / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    return [f"{path}: has no lesson" for path in stored if path not in known]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slug", nargs="*", help="lessons to build, for example 01_soft_labels (default: all)")
    parser.add_argument("--check", action="store_true", help="execute nothing; fail when a notebook does not come from its lesson")
    parser.add_argument("--tests", action="store_true", help=f"check, then write into {TESTS} what nbval runs")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="notebooks built at a time")
    given = parser.parse_args(arguments)
    if given.jobs < 1:
        parser.error(f"--jobs must be >= 1, got {given.jobs}")
    unknown = [slug for slug in given.slug if slug not in slugs(root)]
    if unknown:
        print(f"SLUG must be one of {', '.join(slugs(root))}, got {', '.join(unknown)}", file=sys.stderr)
        return 2
    names, compares = given.slug or slugs(root), given.check or given.tests
    failures = []
    try:
        if compares:
            failures = problems(names, root) + strays(root)
            if given.tests and not failures:
                write_tests(names, root)
        else:
            asyncio.run(build(names, root, given.jobs))
    except* LessonError as group:
        failures = [str(error) for error in group.exceptions]
    if failures:
        advice = "\nBuild them again: make notebooks (it overwrites them: keep a copy of your own work)" if compares else ""
        print("\n".join(failures) + advice, file=sys.stderr)
    elif compares:
        print(f"{2 * len(names)} notebooks come from their lessons")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
