"""The recorded experiments: their tables follow from their values, and one of each chapter, run today, agrees with its record."""

import ast
from collections import Counter

import code_hash
import experiment
import pytest

from kdcourse import datasets, evidence

EXPERIMENTS = experiment.find_all()
SENTINELS = [name for name, found in EXPERIMENTS.items() if found.sentinel]
MOST_SECONDS = 30  # a seed of a chapter's sentinel, which every test run repeats; `make records` runs the others
SLOW = {"consistent": 60}  # chapter 02 trains convolutional networks: its cheapest experiment


def test_every_experiment_has_a_record_and_every_record_an_experiment():
    assert sorted(EXPERIMENTS) == evidence.names()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_comparisons_follow_from_the_values(name):
    record = evidence.load(name)
    least = 2 if name.startswith("choice") else evidence.LEAST_SEEDS  # a choice needs no verdict
    for part in filter(None, (record, record.replication)):
        assert len(part.seeds) >= least and all(len(values) == len(part.seeds) for values in part.values.values())
        fresh = [{key: getattr(comparison, key) for key in evidence.STORED} for comparison in part.comparisons]
        assert [stored == pytest.approx(again) for stored, again in zip(part["comparisons"], fresh, strict=True)] == [True] * len(fresh)


def test_verdicts_come_from_seeds_that_nothing_was_tuned_on():
    tuned, judged = set(), set()
    for name in evidence.names():
        record = evidence.load(name)
        seeds = {seed for part in (record, record.replication) if part for seed in part.seeds}
        (tuned if record.data.get("grid") else judged).update(seeds)
    assert tuned and judged and not tuned & judged


def test_every_search_of_settings_names_its_grid():
    for name in (name for name in EXPERIMENTS if name.startswith(("choice", "settings"))):
        assert 'grid=["' in EXPERIMENTS[name].source, name
        if experiment.status(EXPERIMENTS[name]) == "current":
            assert "optimum at the edge of the grid" in evidence.table(evidence.load(name))


def test_every_chapter_with_experiments_has_one_cheap_sentinel():
    assert Counter(EXPERIMENTS[name].lesson for name in SENTINELS) == Counter({found.lesson for found in EXPERIMENTS.values()})
    for name in SENTINELS:
        record = evidence.load(name)
        assert record["seconds"] / len(record.seeds) <= SLOW.get(name, MOST_SECONDS), name


@pytest.mark.slow
@pytest.mark.parametrize("name", SENTINELS)
def test_one_seed_run_today_agrees_with_the_record(name):
    code = map(ast.unparse, code_hash.needed(ast.parse(EXPERIMENTS[name].source).body, EXPERIMENTS[name].defined))
    if "load('mnist'" in "".join(code) and datasets.where("mnist") is None:
        pytest.skip(f"{name} needs the full MNIST: put mnist.npz into a folder that KDCOURSE_DATA names")
    record = evidence.load(name)
    rerun = EXPERIMENTS[name].function()(record.seeds[0])
    assert experiment.outside(record, record.seeds[0], rerun) == []
