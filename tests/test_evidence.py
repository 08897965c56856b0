"""The verdict rule on cases made by hand."""

import json
import math

import pytest

from kdcourse import evidence, records


def test_interval_by_hand():
    # differences 1 2 3 4 5: mean 3, s = sqrt(2.5), t(0.975, 4) = 2.776445
    mean, low, high = evidence.paired_interval([1, 2, 3, 4, 5])
    half = 2.776445105 * math.sqrt(2.5) / math.sqrt(5)
    assert (mean, low, high) == pytest.approx((3, 3 - half, 3 + half))


def test_interval_of_one_difference_is_infinite():
    assert evidence.paired_interval([0.5]) == (0.5, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("low", "high", "seeds", "higher_is_better", "expected"),
    [
        (0.1, 0.3, 5, True, "WINS"),
        (0.1, 0.3, 5, False, "LOSES"),
        (-0.3, -0.1, 5, True, "LOSES"),
        (-0.3, -0.1, 5, False, "WINS"),
        (-0.1, 0.3, 5, True, "INCONCLUSIVE"),
        (0.0, 0.3, 5, True, "INCONCLUSIVE"),
        (0.0, 0.0, 5, True, "INCONCLUSIVE"),
        (0.1, 0.3, 4, True, "INCONCLUSIVE"),
    ],
)
def test_verdict_rule(low, high, seeds, higher_is_better, expected):
    assert evidence.verdict(low, high, seeds, higher_is_better) == expected


def test_pairing_sees_what_separate_means_hide():
    # the seeds differ by 10 points, the arms by 1 on every seed
    base = [0.60, 0.65, 0.70, 0.75, 0.80]
    arm = [b + d for b, d in zip(base, [0.010, 0.011, 0.009, 0.010, 0.012], strict=True)]
    assert evidence.compare({"arm": arm, "base": base}, "arm", "base").verdict == "WINS"
    assert evidence.compare({"arm": arm[::-1], "base": base}, "arm", "base").verdict == "INCONCLUSIVE"


@evidence.experiment(metric="accuracy on the test split", compare=[("b", "a"), ("c", "a")])
def toy(seed):
    return {"a": 0.5 + seed / 100, "b": 0.6 + seed / 100 + (seed % 2) / 1000, "c": 0.4 + seed / 50}


def test_run_makes_a_record_that_json_holds_and_a_table_that_names_the_verdicts():
    record = evidence.run(toy, range(5))
    assert record["seeds"] == [0, 1, 2, 3, 4] and record["values"]["a"] == pytest.approx([0.5, 0.51, 0.52, 0.53, 0.54])
    assert [c["verdict"] for c in record["comparisons"]] == ["WINS", "LOSES"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    text = evidence.table(record)
    assert "WINS         b against a: +10.04 points" in text and "LOSES        c against a" in text and "52.00%" in text


def test_few_seeds_are_never_a_verdict():
    text = evidence.table(evidence.run(toy, [3]))
    assert text.count("INCONCLUSIVE") == 2 and "seed 3 (fewer than 5: no verdict)" in text and "[" not in text


def test_the_unit_is_the_experiments_own():
    @evidence.experiment(metric="loss on the test split", compare=[("b", "a")], higher_is_better=False, unit="nats")
    def loss(seed):
        return {"a": 0.5, "b": 0.4}

    text = evidence.table(evidence.run(loss, range(5)))
    assert "0.50 nats" in text and "WINS         b against a: -0.10 nats" in text and "%" not in text


def test_run_takes_over_finished_seeds():
    calls = []

    @evidence.experiment(metric="error", compare=[("b", "a")], higher_is_better=False)
    def counted(seed):
        calls.append(seed)
        return {"a": 1.0, "b": 0.5}

    told = []
    record = evidence.run(counted, [0, 1, 2], done={1: {"a": 2.0, "b": 0.5}}, after_seed=lambda seed, result: told.append(seed))
    assert calls == told == [0, 2] and record["values"]["a"] == [1.0, 2.0, 1.0]


def test_record_is_written_and_read_whole(tmp_path):
    record = evidence.run(toy, range(5))
    path = records.save(record, tmp_path)
    assert json.loads(path.read_text()) == record
    with pytest.raises(ValueError):
        records.save({**record, "values": {"a": [math.nan]}}, tmp_path)
    assert json.loads(path.read_text()) == record and [p.name for p in tmp_path.iterdir()] == ["toy.json"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evidence.run(toy, []), "seeds must hold at least one integer, got none"),
        (lambda: evidence.run(toy, [1, 1]), r"seeds must differ from each other, got \[1, 1\]"),
        (lambda: evidence.run(len, [1]), "function must be marked with @evidence.experiment"),
        (lambda: evidence.paired_interval([]), "differences must hold at least one number"),
        (lambda: evidence.paired_interval([1, math.nan]), "differences must be finite"),
        (lambda: evidence.paired_interval([1, 2], 1.0), r"confidence must be between 0 and 1, got 1.0"),
        (lambda: evidence.compare({"a": [1], "b": [1, 2]}, "a", "b"), "must have the same seeds, got 1 values of 'a' and 2 of 'b'"),
        (lambda: evidence.compare({"a": [1]}, "a", "z"), r"baseline must be one of \['a'\], got 'z'"),
        (lambda: records.load("no such"), "name must be a recorded experiment, one of .* got 'no such'"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
