"""The experiment runner on a tiny course in a temporary folder: the hash of the code, recording, replicating, restamping."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import code_hash
import experiment
import pytest
from course import edit, made

from kdcourse import evidence

ROOT = Path(__file__).resolve().parent.parent
LESSON = '''\
# %% [markdown]
# # A tiny lesson
#
# <!-- links -->

# %% tags=["experiment-setup"]
import os
import random

from kdcourse import evidence

TAILS = 0.25


def share(seed, tails=TAILS):
    """Return two shares."""
    results = {}
    for _ in range(2):
        results["heads"] = 0.5 + random.Random(seed).random() / 10
        results["tails"] = tails
    return results


# %%
print(os.listdir("."))


# %% tags=["experiment"]
@evidence.experiment("accuracy on nothing", compare=[("heads", "tails")], sentinel=True)
def toy(seed):
    return share(seed)


# %% tags=["experiment"]
@evidence.experiment("accuracy on nothing", compare=[("heads", "tails")], cases={
    "toy_low": {"tails": 0.1}, "toy_high": {"tails": 0.9}})
def toys(seed, tails):
    return share(seed, tails)
'''


@pytest.fixture
def course(tmp_path):
    """A course of one lesson; nothing recorded yet."""
    return made(tmp_path, LESSON)


def lesson(course):
    return course / "lessons" / "01_tiny.py"


def recorded(course, name="toy"):
    return json.loads((course / "data" / "experiments" / f"{name}.json").read_text())


def states(course):
    return {name: experiment.status(found, course) for name, found in experiment.find_all(course).items()}


def kept(course):
    return sorted(path.relative_to(course / "build").as_posix() for path in (course / "build").rglob("*.json"))


# --- the hash ---

CODE = '''\
import math
from os import path, sep

UNUSED = 1
RATE = 0.5
NAMES = ["a", "b"]


def helper(x, name="it's"):
    """A docstring."""
    for one in range(3):
        x += one
        x *= RATE
    return f"{name!r:>{x}} {{}}" "b", (x,), -1.0e-5, {**{}}


def toy(seed):
    return helper(seed) and not NAMES or math.pi
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        x *= RATE\n", "        x *= RATE  # a comment\n"),
        ("        x *= RATE\n", "\n\n        x *=   RATE\n"),
        ('["a", "b"]', '[\n    "a",\n    "b",\n]'),
        ('["a", "b"]', "['a', 'b']  # fmt: skip"),
        ("helper(seed)", "(\n        helper(\n            seed,\n        )\n    )"),
        ('"""A docstring."""', '"""Another one."""'),
        ('    """A docstring."""\n', ""),
        ("-1.0e-5", "-0.00001"),
        ("def helper", "'''words'''\n\n\ndef helper"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("import math\n", "import json\nimport math\n"),
        ("from os import path, sep", "from os import (\n    sep,\n)"),
        ('{x}} {{}}" "b"', '{x}} {{}}b"'),
    ],
)
def test_what_is_no_code_does_not_count(old, new):
    assert old in CODE
    assert code_hash.sha256(CODE.replace(old, new), "toy") == code_hash.sha256(CODE, "toy")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 0.5", "RATE = 0.25"),
        ("range(3)", "range(3.0)"),
        ('["a", "b"]', '["a", "c"]'),
        ('["a", "b"]', '["a", "b "]'),
        ('["a", "b"]', '("a", "b")'),
        ("it's", "its"),
        ("name!r", "name!s"),
        ("(x,)", "(x)"),
        (' {{}}" "b"', '  {{}}" "b"'),
        ("        x *= RATE", "    x *= RATE"),
        ("def toy(seed):\n    return helper(seed)", "def toy(seeds):\n    return helper(seeds)"),
        ("import math\n", "import cmath as math\n"),
        ("RATE = 0.5", "RATE = 0.5\nRATE += 1"),
        ("RATE = 0.5", "RATE = 0.5\nNAMES = []\nNAMES[0] = 2"),
        ("UNUSED = 1", "math.anything()"),
        ("UNUSED = 1", "from math import *"),
        ("UNUSED = 1", "if True:\n    RATE = 2"),
        ("not NAMES", "NAMES"),
    ],
)
def test_what_is_code_counts(old, new):
    assert old in CODE
    assert code_hash.sha256(CODE.replace(old, new), "toy") != code_hash.sha256(CODE, "toy")


def test_the_hash_is_the_same_in_every_python():
    # proved with CPython 3.11, 3.12 and 3.13 when it was written down
    assert code_hash.sha256(CODE, "toy")[:16] == "7388325ef5383ad3"


def test_an_f_string_is_the_same_wherever_python_cuts_it():
    cut = ast.JoinedStr([ast.Constant("a"), ast.Constant("b"), ast.FormattedValue(ast.Name("x"), -1), ast.Constant("")])
    whole = ast.JoinedStr([ast.Constant("ab"), ast.FormattedValue(ast.Name("x"), -1)])
    assert code_hash._written(cut) == code_hash._written(whole)


def test_a_lesson_that_is_formatted_anew_keeps_its_records(tmp_path):
    shutil.copytree(ROOT / "lessons", tmp_path / "lessons")
    before = {name: found.sha256 for name, found in experiment.find_all(tmp_path).items()}
    text = {path: path.read_text() for path in (tmp_path / "lessons").glob("*.py")}
    for path, source in text.items():
        path.write_text(source.replace("# fmt: skip", ""))
    ruff = Path(sys.executable).parent / "ruff"
    subprocess.run([ruff, "format", "-q", "--isolated", "--line-length", "100", tmp_path / "lessons"], check=True)
    assert sum(path.read_text() != source for path, source in text.items()) >= 4
    assert {name: found.sha256 for name, found in experiment.find_all(tmp_path).items()} == before


def test_a_record_goes_stale_with_the_code_that_it_needs(course):
    assert set(states(course).values()) == {"no record"}
    for name in ("toy", "toy_low", "toy_high"):
        assert experiment.main([name, "--seeds", "0 1", "--record"], course) == 0
    assert set(states(course).values()) == {"current"}
    current = lesson(course).read_text()
    for old, new, stale in (
        ("print(os.listdir", "print(1, os.listdir", []),  # a cell that no experiment needs
        ("import os\n", "import os  # a comment\nimport re\n", []),
        ('{"tails": 0.1}, "toy_high": {"tails": 0.9}})', '{"tails": 0.1},\n    "toy_high": {"tails": 0.9},\n})', []),
        ("sentinel=True", "sentinel=False", []),
        ("range(2)", "range(3)", ["toy", "toy_low", "toy_high"]),
        ('"tails": 0.1', '"tails": 0.2', ["toy_low"]),
        ("share(seed, tails)\n", "share(seed, tails=tails)\n", ["toy_low", "toy_high"]),
        ('("heads", "tails")], sentinel', '("tails", "heads")], sentinel', ["toy"]),
    ):
        edit(lesson(course), old, new)
        assert [name for name, state in states(course).items() if state == "stale"] == stale, new
        lesson(course).write_text(current)
    (course / "data" / "experiments" / "toy.json").write_text(json.dumps(recorded(course) | {"code_sha256": None, "source_sha256": "1"}))
    assert states(course)["toy"] == "stale"


# --- running and recording ---


def test_experiment_prints_a_table_and_writes_nothing(course, capsys):
    before = sorted(course.rglob("*"))
    assert experiment.main(["toy", "--seeds", "5 6 7 8 9"], course) == 0
    said = capsys.readouterr().out
    assert re.search(r"^seed 5: heads 0\.\d{4}  tails 0\.2500  \(\d+\.\d s\)$", said, re.M)
    assert re.search(r"^WINS +heads against tails: \+\d", said, re.M)
    assert sorted(course.rglob("*")) == before


def test_experiment_records_what_stands_on_the_page(course, capsys):
    toy = experiment.find_all(course)["toy"]
    assert experiment.main(["toy", "--seeds", "0 1", "--record"], course) == 0
    record = recorded(course)
    assert record["seeds"] == [0, 1] and record["values"]["tails"] == [0.25, 0.25]
    assert record["code_sha256"] == toy.sha256 and "source_sha256" not in record
    assert set(record["versions"]) == {"python", "tensorflow", "keras", "numpy", "kdcourse"}
    assert record["cpu"] and record["cores"] >= 1 and record["seconds"] >= 0 and re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert not list((course / "build" / "experiments").iterdir())
    assert evidence.table(record) in capsys.readouterr().out
    (course / "data" / "experiments" / "gone.json").write_text("{}")
    (course / "data" / "experiments" / ".part-x.json").write_text("{")  # what a killed process leaves
    assert experiment.main(["--list"], course) == 0
    assert capsys.readouterr().out.splitlines() == [
        "toy                              lessons/01_tiny.py  current  (sentinel)",
        "toy_low                          lessons/01_tiny.py  no record",
        "toy_high                         lessons/01_tiny.py  no record",
        "gone                             in no lesson: delete data/experiments/gone.json",
    ]


def test_a_case_is_an_experiment_of_its_own(course, capsys):
    assert experiment.main(["toy_high", "--seeds", "0 1 2 3 4", "--record"], course) == 0
    assert recorded(course, "toy_high")["values"]["tails"] == [0.9] * 5
    assert "LOSES        heads against tails" in capsys.readouterr().out
    assert list(code_hash.marked(LESSON)) == ["toy", "toy_low", "toy_high"]


@pytest.mark.slow
def test_seeds_at_the_same_time_give_the_same_record(course, capsys):
    tables = []
    for jobs in ("1", "2"):
        assert experiment.main(["toy", "--seeds", "0 1 2", "--record", "--jobs", jobs], course) == 0
        tables.append(capsys.readouterr().out.partition("toy: ")[2])
        assert recorded(course)["seeds"] == [0, 1, 2]
    assert tables[0] == tables[1] and "verdict" in tables[0]


@pytest.fixture
def trap(course):
    """Write the seeds that ran into a file; seed 2 is interrupted while the file `alarm` exists."""
    (course / "alarm").touch()
    code = f"""    open({str(course / "calls")!r}, 'a').write(f'{{seed}} ')
    if seed == 2 and os.path.exists({str(course / "alarm")!r}):
        raise KeyboardInterrupt
"""
    edit(lesson(course), "    results = {}\n", f"{code}    results = {{}}\n")
    return course


def test_an_interrupted_recording_goes_on_where_it_stopped(trap, capsys):
    assert experiment.main(["toy", "--seeds", "0 1 2", "--record"], trap) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
    assert len(kept(trap)) == 2 and not list((trap / "data" / "experiments").iterdir())
    assert experiment.main(["toy", "--seeds", "7 8", "--record"], trap) == 0  # other seeds: those that are done stay
    assert len(kept(trap)) == 2
    (trap / "alarm").unlink()
    assert experiment.main(["toy", "--seeds", "0 1 2", "--record"], trap) == 0
    assert "taken over from an interrupted run: seeds 0 1\n" in capsys.readouterr().out
    assert (trap / "calls").read_text() == "0 1 2 7 8 2 "
    assert recorded(trap)["seeds"] == [0, 1, 2] and not kept(trap)


def test_a_seed_is_kept_before_its_line_is_printed(course, monkeypatch):
    def printed(*parts, **_):
        if str(parts[0]).startswith("seed 0"):
            raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", printed)
    assert experiment.main(["toy", "--seeds", "0 1", "--record"], course) == 130
    assert [path.rpartition("/")[2] for path in kept(course)] == ["0.json"]


def test_two_processes_keep_their_seeds_side_by_side(course):
    toy = experiment.find_all(course)["toy"]
    for seeds in ([0, 1], [1, 2]):  # as if each had been stopped before it wrote its record
        experiment.run(toy, seeds, course, keep=True)
    assert [path.rpartition("/")[2] for path in kept(course)] == ["0.json", "1.json", "2.json"]


# --- replication ---


def test_a_replication_stands_beside_the_values(course, capsys):
    assert experiment.main(["toy", "--seeds", "10 11 12 13 14", "--record"], course) == 0
    before = recorded(course)
    assert experiment.main(["toy", "--seeds", "20 21 22 23 24 25", "--replicate"], course) == 0
    record = recorded(course)
    again = record.pop("replication")
    assert record == before and again["seeds"] == [20, 21, 22, 23, 24, 25] and again["values"]["tails"] == [0.25] * 6
    assert again["comparisons"][0]["seeds"] == 6 and {"versions", "cpu", "cores", "seconds", "date"} <= set(again)
    said = capsys.readouterr().out
    assert "replication: seeds 20 21 22 23 24 25" in said and "  replication: WINS, +" in said and not kept(course)


def test_a_replication_is_resumable(trap, capsys):
    assert experiment.main(["toy", "--seeds", "10 11", "--record"], trap) == 0
    assert experiment.main(["toy", "--seeds", "1 2", "--replicate"], trap) == 130
    (trap / "alarm").unlink()
    assert experiment.main(["toy", "--seeds", "1 2", "--replicate"], trap) == 0
    assert (trap / "calls").read_text() == "10 11 1 2 2 " and recorded(trap)["replication"]["seeds"] == [1, 2]


def test_a_replication_needs_a_current_record_and_other_seeds(course, capsys):
    def refused(message):
        files = {path: path.read_bytes() for path in course.rglob("*.json")}
        assert experiment.main(["toy", "--seeds", "1 2", "--replicate"], course) == 2
        assert capsys.readouterr() == ("", message)
        assert {path: path.read_bytes() for path in course.rglob("*.json")} == files

    refused("a replication needs a current record of toy, got no record\n")
    assert experiment.main(["toy", "--seeds", "0 1", "--record"], course) == 0
    capsys.readouterr()
    refused("the seeds of a replication must not be those of the record, got 1 in both\n")
    edit(lesson(course), "/ 10", "/ 20")
    refused("a replication needs a current record of toy, got a stale one\n")
    with pytest.raises(ValueError, match="got a stale one"):
        experiment.replicate(experiment.find_all(course)["toy"], [7], course)
    assert not kept(course)  # nothing ran


def test_a_new_record_keeps_only_a_replication_of_the_same_code_on_other_seeds(course, capsys):
    def again(seeds):
        assert experiment.main(["toy", "--seeds", seeds, "--record"], course) == 0
        return "replication" in recorded(course), "replication ran other code or some of these seeds" in capsys.readouterr().out

    again("0 1")
    assert experiment.main(["toy", "--seeds", "5 6", "--replicate"], course) == 0
    assert again("0 1 2") == (True, False)
    assert again("5 6 7") == (False, True)
    assert experiment.main(["toy", "--seeds", "0 1", "--replicate"], course) == 0
    edit(lesson(course), "/ 10", "/ 20")
    assert again("5 6 7") == (False, True)


# --- restamping ---


def test_a_restamp_ties_the_record_to_the_page_after_one_seed_agreed(course, capsys):
    assert experiment.main(["toy", "--seeds", "10 11 12 13 14", "--record"], course) == 0
    assert experiment.main(["toy", "--seeds", "20 21", "--replicate"], course) == 0
    before = recorded(course) | {"date": "2020-01-01"}
    evidence.save(before, course / "data" / "experiments")
    capsys.readouterr()
    assert experiment.main(["toy", "--restamp"], course) == 0
    assert "was current and stays as it is" in capsys.readouterr().out and recorded(course) == before
    edit(lesson(course), "0.5 + random", "random")
    edit(lesson(course), "random() / 10", "random() / 10 + 0.501")
    edit(lesson(course), 'compare=[("heads", "tails")], sentinel', 'compare=[("tails", "heads")], sentinel')
    assert states(course)["toy"] == "stale"
    assert experiment.main(["toy", "--restamp", "--seeds", "12"], course) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"seed 12 of toy agrees \(0\.0 s; largest distance 0\.00\d\d of 0\.\d{4} allowed, heads\): its record is tied to .* now\n", said
    )
    record = recorded(course)
    stamp = record.pop("restamped")
    assert stamp["seed"] == 12 and stamp["date"] > "2020-01-01" and stamp["versions"] == before["versions"] and stamp["seconds"] >= 0
    assert record["code_sha256"] == experiment.find_all(course)["toy"].sha256 != before["code_sha256"]
    assert record["compare"] == [["tails", "heads"]] and record["comparisons"][0]["verdict"] == "LOSES"
    assert record["replication"]["comparisons"][0]["variant"] == "tails"
    same = {"values", "seeds", "date", "seconds", "versions", "cpu", "cores", "metric"}
    assert {key: record[key] for key in same} == {key: before[key] for key in same} and states(course)["toy"] == "current"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "TAILS = 0.25",
            "TAILS = 0.35",
            "seed 10 of toy does not agree with its record: tails: 0.35 today, 0.25 in the record, 0.03 allowed",
        ),
        (
            'results["tails"]',
            'results["edge"]',
            "seed 10 of toy does not agree with its record: variants heads, edge today, heads, tails in the record",
        ),
    ],
)
def test_a_restamp_that_does_not_agree_writes_nothing(course, capsys, old, new, message):
    edit(lesson(course), 'compare=[("heads", "tails")], sentinel', "compare=[], sentinel")
    assert experiment.main(["toy", "--seeds", "10 11", "--record"], course) == 0
    before = recorded(course)
    edit(lesson(course), old, new)
    capsys.readouterr()
    assert experiment.main(["toy", "--restamp"], course) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", message + "\n") and recorded(course) == before


def test_what_a_rerun_may_differ_by():
    values = {"a": [0.90, 0.91, 0.89, 0.90, 0.90], "b": [0.5, 0.7, 0.6, 0.6, 0.6]}
    record = evidence.Record({"experiment": "x", "seeds": [3, 4, 5, 6, 7], "values": values})
    assert experiment.outside(record, 3, {"a": 0.92, "b": 0.3}) == []
    assert experiment.outside(record, 3, {"a": 0.80, "b": 0.2}) == [
        "a: 0.8 today, 0.9 in the record, 0.03 allowed",
        "b: 0.2 today, 0.5 in the record, 0.28 allowed",
    ]
    few = evidence.Record({"experiment": "x", "seeds": [3, 4], "values": {"a": [45.0, 45.0], "b": [50.0, 53.0]}})
    assert experiment.outside(few, 3, {"a": 50.0, "b": 50.0}) == []  # the two equal values of a say little
    assert len(experiment.outside(few, 3, {"a": 60.0, "b": 50.0})) == 1


@pytest.fixture
def three(course):
    """Three stale records: toy and toy_low agree, toy_high does not; what ran is in the file `calls`."""
    code = f"    open({str(course / 'calls')!r}, 'a').write(f'{{tails}} ')\n"
    for name in ("toy", "toy_low", "toy_high"):
        assert experiment.main([name, "--seeds", "10 11", "--record"], course) == 0
    evidence.save(recorded(course, "toy_low") | {"seconds": 100.0}, course / "data" / "experiments")
    edit(lesson(course), "    results = {}\n", f"{code}    results = {{}}\n")
    edit(lesson(course), '"tails": 0.9', '"tails": 0.7')
    return course


@pytest.mark.slow
def test_all_records_run_again_and_those_that_agree_are_restamped(three, capsys):
    assert experiment.main(["--restamp-all"], three) == 1
    said = capsys.readouterr().out
    assert (three / "calls").read_text().split()[0] == "0.1"  # the longest first
    assert states(three) == {"toy": "current", "toy_low": "current", "toy_high": "stale"}
    assert re.search(r"^toy +01_tiny +\d+ s  0\.0000 of 0\.\d{4} \(\w+\)  ok$", said, re.M)
    assert re.search(r"^toy_high +01_tiny +differs: tails: 0\.7 today, 0\.9 in the record, 0\.03 allowed$", said, re.M)
    assert said.endswith("2 of 3 records agree; look at toy_high\n")
    assert experiment.main(["--restamp-all"], three) == 1  # what has agreed is not run again
    assert "agreed before, not run again: toy toy_low" in capsys.readouterr().out
    assert sorted((three / "calls").read_text().split()) == ["0.1", "0.25", "0.7", "0.7"]
    edit(lesson(three), '"tails": 0.7', '"tails": 0.9')
    assert experiment.main(["--restamp-all"], three) == 0
    assert capsys.readouterr().out.endswith("3 of 3 records agree\n") and set(states(three).values()) == {"current"}
    files = {path: path.read_bytes() for path in (three / "data").rglob("*.json")}
    (three / "calls").unlink()
    assert experiment.main(["--restamp-all"], three) == 0  # all agreed: a new check runs all of them, and writes nothing
    assert len((three / "calls").read_text().split()) == 3
    assert {path: path.read_bytes() for path in (three / "data").rglob("*.json")} == files


@pytest.mark.slow
def test_an_experiment_that_fails_does_not_stop_the_others(three, capsys):
    edit(lesson(three), "    results = {}\n", "    results = {}\n    assert tails != 0.1, 'no data'\n")
    (three / "data" / "experiments" / "toy_high.json").unlink()
    assert experiment.main(["--restamp-all"], three) == 1
    said = capsys.readouterr().out
    assert re.search(r"^toy_low +01_tiny +failed: AssertionError: no data$", said, re.M)
    assert re.search(r"^toy_high +01_tiny +no record$", said, re.M)
    assert states(three)["toy"] == "current"


# --- arguments ---

SEEDS = '--seeds must be different whole numbers in 0..4294967295, separated by spaces, as in "0 1 2", got '


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["heads"], "NAME must be one of toy, toy_low, toy_high, got 'heads'"),
        (["toys"], "NAME must be one of toy, toy_low, toy_high, got 'toys'"),
        ([], "NAME must be one of toy, toy_low, toy_high, got ''"),
        (["toy", "--seeds", "0 one"], SEEDS + "'0 one'"),
        (["toy", "--seeds", ""], SEEDS + "''"),
        (["toy", "--seeds", "1 1"], SEEDS + "'1 1'"),
        (["toy", "--seeds=-1"], SEEDS + "'-1'"),
        (["toy", "--seeds", "0 4294967296"], SEEDS + "'0 4294967296'"),
        (["toy", "--jobs", "0"], "--jobs must be >= 1, got 0"),
        (["toy", "--record=yes"], "--record must be 0, 1 or empty, got 'yes'"),
        (["toy", "--replicate=true"], "--replicate must be 0, 1 or empty, got 'true'"),
        (["toy", "--record", "--replicate"], "a run must be one of --record, --replicate and --restamp, got --record and --replicate"),
        (["toy", "--restamp"], "toy has no record that could be restamped; --record makes one"),
    ],
)
def test_bad_arguments_of_an_experiment(course, capsys, arguments, message):
    assert experiment.main(arguments, course) == 2
    assert capsys.readouterr() == ("", message + "\n")
    assert not (course / "build").exists()


@pytest.mark.parametrize("seeds", ["10 11", "9"])
def test_a_restamp_runs_one_recorded_seed(course, capsys, seeds):
    assert experiment.main(["toy", "--seeds", "10 11", "--record", "--replicate=0"], course) == 0
    assert experiment.main(["toy", "--seeds", seeds, "--restamp"], course) == 2
    assert capsys.readouterr().err == f"--seeds must be one of the record's, 10 11, got '{seeds}'\n"


def test_one_name_for_two_experiments(course, capsys):
    (course / "lessons" / "02_twin.py").write_text(LESSON)
    assert experiment.main(["toy"], course) == 2
    assert "must be used once, got toy in 01_tiny and 02_twin" in capsys.readouterr().err
    (course / "lessons" / "02_twin.py").unlink()
    edit(lesson(course), '"toy_low"', '"toy_high"')
    assert experiment.main(["toy"], course) == 2
    assert "must be used once, got toy_high twice in lessons/01_tiny.py" in capsys.readouterr().err


def test_cases_must_be_written_out(course, capsys):
    edit(lesson(course), 'cases={\n    "toy_low": {"tails": 0.1}, "toy_high": {"tails": 0.9}}', "cases=dict(toy_low={})")
    assert experiment.main(["toy"], course) == 2
    assert capsys.readouterr().err == (
        "cases of toys in lessons/01_tiny.py must be a dict written out, its keys strings, got dict(toy_low={})\n"
    )


def test_the_script_runs_as_a_command(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "experiment.py"), "no_such_experiment"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("NAME must be one of ") and done.stderr.count("\n") == 1


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_make_hands_its_variables_to_the_tool(tmp_path):
    (tmp_path / "ready").touch()
    variables = [f"VENV={tmp_path}", "NAME=toy", "RECORD=yes", "REPLICATE=true"]
    said = subprocess.run(["make", "-s", "-n", "experiment", *variables], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert '--record="yes" --replicate="true"' in said
