"""The recorded experiments: their tables follow from their values, and a run today agrees with the record."""

import statistics
from dataclasses import asdict

import experiment
import pytest

from kdcourse import datasets, evidence, records

EXPERIMENTS = experiment.find_all()
MOST_SECONDS = 60  # a whole course of long experiments would not fit into make test


def test_every_experiment_has_a_record_and_every_record_an_experiment():
    assert sorted(EXPERIMENTS) == records.names()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_comparisons_follow_from_the_values(name):
    record = records.load(name)
    least = 2 if name.startswith("choice") else evidence.LEAST_SEEDS  # a choice needs no verdict
    assert len(record["seeds"]) >= least
    for stored in record["comparisons"]:
        fresh = asdict(evidence.compare(record["values"], stored["arm"], stored["baseline"], record["higher_is_better"]))
        assert stored["verdict"] == fresh["verdict"]
        assert [stored[k] for k in ("difference", "low", "high")] == pytest.approx([fresh[k] for k in ("difference", "low", "high")])


def test_verdicts_come_from_seeds_that_nothing_was_tuned_on():
    tuned = {seed for name in records.names() if name.startswith("choice") for seed in records.load(name)["seeds"]}
    judged = {seed for name in records.names() if not name.startswith("choice") for seed in records.load(name)["seeds"]}
    assert tuned and judged and not tuned & judged


def outside(record, seed, rerun):
    """Return the arms of `rerun` that are too far from the record: 4 standard deviations over the seeds, or 3 points if that is more."""
    place, found = record["seeds"].index(seed), []
    for arm, values in record["values"].items():
        allowed = max(0.03, 4 * statistics.stdev(values))
        if abs(rerun[arm] - values[place]) > allowed:
            found.append(f"{arm}: {rerun[arm]:.3f} today, {values[place]:.3f} in the record, {allowed:.3f} allowed")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_one_seed_run_today_agrees_with_the_record(name):
    record = records.load(name)
    seed, each = record["seeds"][0], record["seconds"] / len(record["seeds"])
    if each > MOST_SECONDS:
        pytest.skip(f"one seed of {name} took {each:.0f} s when it was recorded: run it with make experiment NAME={name}")
    if 'load("mnist"' in EXPERIMENTS[name].source.partition("@evidence.experiment")[2] and datasets.where("mnist") is None:
        pytest.skip(f"{name} needs the full MNIST: put mnist.npz into a folder that KDCOURSE_DATA names")
    rerun = EXPERIMENTS[name].function()(seed)
    assert set(rerun) == set(record["values"])
    assert outside(record, seed, rerun) == []


def test_a_run_that_differs_is_seen():
    record = {"seeds": [3, 4, 5], "values": {"a": [0.90, 0.91, 0.89], "b": [0.5, 0.7, 0.6]}}
    assert outside(record, 3, {"a": 0.92, "b": 0.2}) == []
    assert len(outside(record, 3, {"a": 0.80, "b": 0.2})) == 1
