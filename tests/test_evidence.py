"""The verdict rule on cases made by hand, experiments, and what a record says."""

import html
import json
import math
import re

import pytest

from kdcourse import evidence


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
    # the seeds differ by 10 points, the variants by 1 on every seed
    base = [0.60, 0.65, 0.70, 0.75, 0.80]
    variant = [b + d for b, d in zip(base, [0.010, 0.011, 0.009, 0.010, 0.012], strict=True)]
    assert evidence.compare({"variant": variant, "base": base}, "variant", "base").verdict == "WINS"
    assert evidence.compare({"variant": variant[::-1], "base": base}, "variant", "base").verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("difference", "more", "line"),
    [
        (0.0120, {}, "WINS         b against a: +1.20 points [+1.18, +1.22]"),
        (0.0029, {}, "WINS, too small to matter: b against a: +0.29 points [+0.27, +0.31]"),
        (0.0031, {}, "WINS         b against a: +0.31 points [+0.29, +0.33]"),
        (-0.0029, {}, "LOSES, too small to matter: b against a: -0.29 points [-0.31, -0.27]"),
        (-0.0029, {"higher_is_better": False}, "WINS, too small to matter: b against a: -0.29 points [-0.31, -0.27]"),
        (0.0029, {"matters": 0.2}, "WINS         b against a: +0.29 points [+0.27, +0.31]"),
        (0.00001, {}, "INCONCLUSIVE b against a: +0.00 points [-0.02, +0.02]"),
        (0.2, {"unit": "nats", "matters": 0}, "WINS         b against a: +0.20 nats [+0.20, +0.20]"),
        (0.2, {"unit": "nats", "matters": 0.5}, "WINS, too small to matter: b against a: +0.20 nats [+0.20, +0.20]"),
    ],
)
def test_the_line_of_a_comparison(difference, more, line):
    values = {"a": [0.0] * 5, "b": [difference + wobble for wobble in (0, 0.0002, -0.0002, 0.0001, -0.0001)]}
    comparison = evidence.compare(values, "b", "a", **more)
    assert str(comparison) == line and comparison.verdict in ("WINS", "LOSES", "INCONCLUSIVE")
    assert line.endswith(comparison.span)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_below_five_seeds_there_is_no_interval(seeds):
    comparison = evidence.compare({"a": [0.0] * seeds, "b": [0.5] * seeds}, "b", "a")
    assert comparison.low is comparison.high is None and comparison.verdict == "INCONCLUSIVE"
    expected = f"INCONCLUSIVE b against a: +50.00 points, no interval: {seeds} seed{'s' * (seeds > 1)}, 5 are needed"
    assert str(comparison) == expected


# --- experiments ---


@evidence.experiment(metric="accuracy on the test split", compare=[("b", "a"), ("c", "a")])
def toy(seed):
    return {"a": 0.5 + seed / 100, "b": 0.6 + seed / 100 + (seed % 2) / 1000, "c": 0.4 + seed / 50}


def test_run_makes_a_record_that_json_holds_and_a_table_that_names_the_verdicts():
    record = evidence.run(toy, range(5))
    assert record.seeds == [0, 1, 2, 3, 4] and record.values["a"] == pytest.approx([0.5, 0.51, 0.52, 0.53, 0.54])
    assert [c["verdict"] for c in record["comparisons"]] == ["WINS", "LOSES"]
    assert json.loads(json.dumps(record.data, allow_nan=False)) == record.data
    text = evidence.table(record)
    assert "WINS         b against a: +10.04 points" in text and "LOSES        c against a" in text and "52.00%" in text
    assert evidence.table(record.data) == text == repr(record)


def test_few_seeds_are_never_a_verdict():
    record = evidence.run(toy, [3])
    text = evidence.table(record)
    assert text.count("INCONCLUSIVE") == 2 and "seed 3 (fewer than 5: no verdict)" in text and "[" not in text
    assert [(c["low"], c["high"]) for c in record["comparisons"]] == [(None, None)] * 2


def test_the_unit_is_the_experiments_own():
    @evidence.experiment(metric="loss on the test split", compare=[("b", "a")], higher_is_better=False, unit="nats")
    def loss(seed):
        return {"a": 0.5, "b": 0.4}

    record = evidence.run(loss, range(5))
    text = evidence.table(record)
    assert "0.50 nats" in text and "WINS         b against a: -0.10 nats" in text and "%" not in text and record.matters == 0


def test_the_smallest_difference_that_matters_is_part_of_the_record():
    def small(seed):
        return {"a": 0.5, "b": 0.502}

    for given, held, label in ((None, 0.3, "WINS, too small to matter"), (0.1, 0.1, "WINS"), (0, 0, "WINS")):
        record = evidence.run(evidence.experiment("accuracy", [("b", "a")], matters=given)(small), range(5))
        assert record["matters"] == held and record.comparison("b", "a").label == label and record.verdict("b", "a") == "WINS"
    old = {key: record[key] for key in record.keys() - {"matters"}}
    assert evidence.Record(old).comparison("b", "a").label == "WINS, too small to matter"


def test_cases_are_experiments_of_one_function():
    @evidence.experiment("accuracy", [("b", "a")], cases={"low": {"of_b": 0.1}, "high": {"of_b": 0.9}}, sentinel="low")
    def share(seed, of_b, more=0):
        return {"a": 0.5, "b": of_b + more}

    records = {name: evidence.run(case, range(5)) for name, case in share.cases.items()}
    assert {name: record.name for name, record in records.items()} == {"low": "low", "high": "high"}
    assert [record.verdict("b", "a") for record in records.values()] == ["LOSES", "WINS"]
    assert share(0, 0.2) == {"a": 0.5, "b": 0.2}
    with pytest.raises(ValueError, match="function must be marked with @evidence.experiment, or one of its cases, got"):
        evidence.run(share, [0])


def counted(results, compare=()):
    """Return an experiment that gives `results` one after the other, and the list of the seeds that ran."""
    ran = []

    @evidence.experiment("accuracy", compare)
    def one(seed):
        ran.append(seed)
        return results[len(ran) - 1]

    return one, ran


@pytest.mark.parametrize(
    ("results", "compare", "message"),
    [
        ([{"a": math.nan}, {"a": 1}], [], "'a' of seed 3 must be one number that is finite, got nan"),
        ([{"a": "x"}, {"a": 1}], [], "'a' of seed 3 must be one number that is finite, got 'x'"),
        ([{"a": 1, "b": 1}, {"a": 1, "b": 1}], [("c", "a")], "each variant of compare must be one of a, b, got 'c'"),
    ],
)
def test_a_result_that_no_record_can_hold_shows_after_the_first_seed(results, compare, message):
    one, ran = counted(results, compare)
    with pytest.raises(ValueError, match=re.escape(message)):
        evidence.run(one, [3, 4])
    assert ran == [3]


def test_all_seeds_have_the_same_variants():
    one, _ = counted([{"a": 1, "b": 2}, {"b": 1, "a": 2}, {"a": 1, "c": 2}])
    with pytest.raises(ValueError, match="the variants of seed 5 must be those of the first seed, a, b, got a, c"):
        evidence.run(one, [3, 4, 5])


@pytest.mark.parametrize("seeds", [[0, -1], [0, 2**32], [0, 1.0], [0, True], "01"])
def test_all_seeds_are_checked_before_one_runs(seeds):
    one, ran = counted([{"a": 1}] * 2)
    with pytest.raises(ValueError, match=r"each of seeds must be an integer in 0\.\.4294967295, got "):
        evidence.run(one, seeds)
    assert ran == []


# --- records ---


def a_record(**more):
    """A record of 5 seeds: b wins, c does not."""
    values = {"a": [0.5, 0.5, 0.5, 0.5, 0.5], "b": [0.6, 0.61, 0.62, 0.6, 0.61], "c": [0.4, 0.6, 0.5, 0.5, 0.52]}
    record = {"experiment": "x", "metric": "accuracy", "higher_is_better": True, "unit": "percent", "seeds": [1, 2, 3, 4, 5]}
    return evidence.Record(record | {"values": values, "compare": [["b", "a"]]} | more)


def test_what_a_record_says():
    record = a_record()
    assert (record.name, record.metric, record.unit, record.seeds) == ("x", "accuracy", "percent", [1, 2, 3, 4, 5])
    assert record.means == pytest.approx({"a": 0.5, "b": 0.608, "c": 0.504}) and record["values"] is record.values
    assert str(record.comparison("b", "c")) == "WINS         b against c: +10.40 points [+1.95, +18.85]" and record.replication is None
    assert record.verdict("a", "b") == "LOSES" and record.verdict("c", "a") == "INCONCLUSIVE"
    assert {**record} == dict(record) == record.data


def test_a_verdict_is_never_one_that_was_typed_in():
    record = a_record(compare=[["c", "a"]], comparisons=[{"variant": "c", "baseline": "a", "verdict": "WINS"}])
    assert "INCONCLUSIVE c against a" in evidence.table(record) and "WINS" not in evidence.table(record)


def test_a_replication_is_shown_below_each_comparison():
    again = {"seeds": [11, 12, 13, 14, 15], "values": {v: [1 - x for x in xs] for v, xs in a_record().values.items()}, "date": "2025-01-02"}
    record = a_record(replication=again, date="2025-01-01")
    lines = evidence.table(record).splitlines()
    assert lines[1] == "replication: seeds 11 12 13 14 15, 2025-01-02"
    assert lines[-2].startswith("WINS         b against a: +10.80 points")
    assert lines[-1].startswith("  replication: LOSES, -10.80 points [")
    assert record.replication.means["b"] == pytest.approx(0.392) and record.replication.replication is None


def searched(values, grid, **more):
    return a_record(values={name: [mean] for name, mean in values.items()}, seeds=[0], compare=[], grid=grid, **more).edges()


def test_optima_at_the_edge_of_the_grid():
    grid = ["{}, T={T}, rate {rate}", "{}, rate {rate}"]
    scores = {("1", "0.01"): 0.5, ("1", "0.02"): 0.6, ("2", "0.01"): 0.6, ("2", "0.02"): 0.9, ("4", "0.01"): 0.6, ("4", "0.02"): 0.7}
    values = {f"KL, T={t}, rate {rate}": score for (t, rate), score in scores.items()}
    assert searched(values, grid) == {"KL": ["rate 0.02 is the highest"]}
    assert searched(values | {"KL, T=2, rate 3e-2": 0.8}, grid) == {}  # 0.03 is the highest now
    assert searched(values, grid, higher_is_better=False) == {"KL": ["T 1 is the lowest", "rate 0.01 is the lowest"]}
    others = {"hard, other": 1.0, "frozen": 1.0}
    assert searched({"hard, rate 1": 0.9, "hard, rate 2": 0.1} | others, grid) == {"hard": ["rate 1 is the lowest"]}
    assert searched({"hard, rate 1": 0.9, "hard, rate 2": 0.9, "hard, rate 3": 0.1}, grid) == {}  # as good inside
    assert searched({"hard, rate 1": 0.9}, grid) == {}  # no choice, no edge
    assert searched({"a=1, T=3": 0.1, "a=1, T=4": 0.2}, ["a={a}, T={T}"]) == {"a": ["T 4 is the highest"]}
    weights = {"KL, 8, rate 1": 0.1, "KL, 9, rate 1": 0.2, "KL, x, rate 1": 0}
    assert searched(weights, ["{}, {w}, rate {rate}"]) == {"KL": ["w 9 is the highest"]}


def test_a_search_that_goes_on_is_one_grid_with_the_first(monkeypatch):
    first = a_record(values={"hard, rate 1": [0.1], "hard, rate 2": [0.8]}, seeds=[0], compare=[], grid=["{}, rate {rate}"])
    monkeypatch.setattr(evidence, "load", lambda name: {"first": first}[name])
    assert first.edges() == {"hard": ["rate 2 is the highest"]}
    assert searched({"hard, rate 3": 0.5}, ["{}, rate {rate}"], extends="first") == {}
    assert searched({"hard, rate 3": 0.9}, ["{}, rate {rate}"], extends="first") == {"hard": ["rate 3 is the highest"]}


def test_the_table_of_a_search_says_what_lies_at_the_edge():
    values = {"hard, rate 1": [0.1], "hard, rate 2": [0.8], "soft, rate 1": [0.9], "soft, rate 2": [0.8]}
    record = a_record(values=values, seeds=[0], compare=[], grid=["{}, rate {rate}"])
    assert evidence.table(record).splitlines()[-1] == (
        "optimum at the edge of the grid: hard: rate 2 is the highest; soft: rate 1 is the lowest"
    )
    record.data["values"]["hard, rate 3"] = record.data["values"]["soft, rate 0"] = [0]
    assert evidence.table(record).splitlines()[-1] == "optimum at the edge of the grid: none"
    assert "grid" not in evidence.table(a_record())


def page(shown, record) -> tuple[str, str]:
    """What a notebook shows of a record below its pictures: what is visible, and what is folded."""
    html_text = shown(record)[-1].data["text/html"]
    visible, _, folded = html_text.partition("<details>")
    assert folded.endswith("</details>") or not folded
    return visible, folded


def cells(page_text: str) -> list[list[str]]:
    """The tables of a page, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", page_text)
    return [[html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


def test_a_notebook_shows_six_rows_of_a_table_and_folds_the_rest(monkeypatch, shown):
    monkeypatch.setattr(evidence, "_draw", None)
    record = a_record(compare=[["b", "a"], ["c", "a"], ["b", "c"]] * 3, date="2025-01-01")
    (output,) = shown(record)  # nothing draws it: its table alone
    assert output.data["text/plain"] == evidence.table(record)
    visible, folded = page(shown, record)
    assert visible.startswith("<p><b>x</b>: accuracy; 5 seeds (1 to 5); 2025-01-01</p>") and "3 more comparisons stand" in visible
    head, *rows = cells(visible)
    assert head == ["variant", "against", "difference (points)", "95% interval", "verdict"] and len(rows) == evidence.LINES
    assert rows[0] == ["b", "a", "+10.80", "[+9.76,\u00a0+11.84]", "▲\u00a0WINS"] and rows[1][-1] == "○\u00a0INCONCLUSIVE"
    assert folded.startswith("<summary>The whole table</summary>")
    assert cells(folded)[1:10] == rows + rows[:3] and cells(folded)[10] == ["variant", "mean (%)", "lowest", "highest"]
    assert cells(folded)[11:] == [["a", "50.00", "50.00", "50.00"], ["b", "60.80", "60.00", "62.00"], ["c", "50.40", "40.00", "60.00"]]


def test_what_fits_is_not_folded_and_is_shown_once(monkeypatch, shown):
    monkeypatch.setattr(evidence, "_draw", None)
    visible, folded = page(shown, a_record(compare=[["b", "a"], ["c", "a"], ["a", "b"]]))
    assert not folded and [row[0] for row in cells(visible)] == ["variant", "b", "c", "a", "variant", "a", "b", "c"]
    visible, folded = page(shown, a_record(compare=[["b", "a"], ["a", "b"]] * 2))
    assert len(cells(visible)) == 5 and len(cells(folded)) == 4 and "<summary>All means</summary>" in folded
    assert "▼\u00a0LOSES" in visible


def test_nothing_of_a_record_is_markup(monkeypatch, shown):
    monkeypatch.setattr(evidence, "_draw", None)
    again = {"seeds": [7], "values": {"<i>": [0.5], "&amp;": [0.6]}, "date": "<u>"}
    record = a_record(values={"<i>": [0.5] * 5, "&amp;": [0.6] * 5}, compare=[["<i>", "&amp;"]] * 9, metric="a<b>", replication=again)
    visible, folded = page(shown, record)
    assert not re.search(r"<i>|<u>|a<b>|&amp;[^a-z]", visible + folded)
    assert cells(visible)[1][:2] == ["<i>", "&amp;"] and "&lt;u&gt;" in visible and "a&lt;b&gt;" in visible


def test_the_page_says_which_side_is_better_and_what_few_seeds_mean(monkeypatch, shown):
    monkeypatch.setattr(evidence, "_draw", None)
    visible, _ = page(shown, a_record(values={"a": [5.0] * 3, "b": [3.0] * 3}, seeds=[1, 5, 6], higher_is_better=False, unit="errors"))
    assert "accuracy; lower is better; 3 seeds (1 5 6) (fewer than 5: no verdict)" in visible
    assert cells(visible)[:2] == [
        ["variant", "against", "difference (errors)", "95% interval", "verdict"],
        ["b", "a", "-2.00", "none", "○\u00a0INCONCLUSIVE"],
    ]


def test_a_replication_has_a_column(monkeypatch, shown):
    monkeypatch.setattr(evidence, "_draw", None)
    again = {"seeds": [11, 12, 13, 14, 15], "values": {v: [1 - x for x in xs] for v, xs in a_record().values.items()}, "date": "2025-01-02"}
    visible, _ = page(shown, a_record(replication=again))
    assert "replication: 5 seeds (11 to 15), 2025-01-02" in visible
    assert [row[-1] for row in cells(visible)[:2]] == ["on 5 other seeds", "-10.80 [-11.84,\u00a0-9.76] ▼\u00a0LOSES"]


def test_of_a_search_the_best_settings_and_the_edges_are_visible(monkeypatch, shown):
    monkeypatch.setattr(evidence, "_draw", None)
    values = {f"v, rate {i}": [i / 10] * 5 for i in range(9)} | {f"w, rate {i}": [(3 - abs(i - 4)) / 10] * 5 for i in range(9)}
    search = a_record(compare=[], values=values, grid=["{}, rate {rate}"])
    visible, folded = page(shown, search)
    assert [row[0] for row in cells(visible)] == ["variant", "v, rate 8", "w, rate 4"]
    assert "<p>optimum at the edge of the grid: v: rate 8 is the highest</p>" in visible and len(cells(folded)) == 19
    visible, _ = page(shown, a_record(compare=[], values=values))  # no grid says what belongs together
    assert [row[0] for row in cells(visible)] == ["variant", *(f"v, rate {i}" for i in (8, 7, 6, 5, 4, 3))]


def test_what_draws_records_is_told_by_the_one_that_draws(monkeypatch, shown):
    monkeypatch.setattr(evidence, "_draw", None)
    assert evidence.drawn_by(lambda record: [f"a picture of {record.name}", "another"] if record["compare"] else [])
    assert [output.data["text/plain"] for output in shown(a_record())][:-1] == ["'a picture of x'", "'another'"]
    assert len(shown(a_record(compare=[]))) == 1  # nothing to draw


def test_record_is_written_and_read_whole(tmp_path):
    record = evidence.run(toy, range(5))
    path = evidence.save(record, tmp_path)
    assert json.loads(path.read_text()) == record.data
    with pytest.raises(ValueError):
        evidence.save({**record, "values": {"a": [math.nan]}}, tmp_path)
    assert json.loads(path.read_text()) == record.data and [p.name for p in tmp_path.iterdir()] == ["toy.json"]


def test_what_a_killed_process_leaves_is_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "data_path", tmp_path.joinpath)
    (tmp_path / "experiments").mkdir()
    evidence.save(a_record())
    (tmp_path / "experiments" / ".part-abc.json").write_text("{")
    assert evidence.names() == ["x"] and evidence.load("x").data == a_record().data


def marked(compare=(), **more):
    return evidence.experiment("accuracy", compare, **more)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evidence.run(toy, []), "seeds must be at least one integer, got none"),
        (lambda: evidence.run(toy, [1, 1]), "seeds must be different from each other, got [1, 1]"),
        (lambda: evidence.run(len, [1]), "function must be marked with @evidence.experiment, or one of its cases, got <built-in"),
        (lambda: evidence.paired_interval([]), "differences must be at least one number, got none"),
        (lambda: evidence.paired_interval([1, math.nan]), "each of differences must be one number that is finite, got nan"),
        (lambda: evidence.paired_interval([1, 2], 1.0), "confidence must be one number in (0, 1), got 1.0"),
        (lambda: evidence.verdict(1, 0, 5), "low must be <= high, which is 0, got 1"),
        (lambda: evidence.compare({"a": [1], "b": [1, 2]}, "a", "b"), "must be on the same seeds, got 1 values of 'a' and 2 of 'b'"),
        (lambda: evidence.compare({"a": [1]}, "a", "z"), "baseline must be one of a, got 'z'"),
        (lambda: a_record().comparison("z", "a"), "variant must be one of a, b, c, got 'z'"),
        (lambda: marked(["ab"]), "compare must be pairs (variant, baseline), got ['ab']"),
        (lambda: marked([("a", "b", "c")]), "compare must be pairs (variant, baseline), got [('a', 'b', 'c')]"),
        (lambda: marked(matters=-1), "matters must be one number >= 0 and finite, got -1"),
        (lambda: marked(cases={"a b": {}}), "cases must be named as functions are, got 'a b'"),
        (lambda: marked(cases={"a": {}}, sentinel="b"), "sentinel must be one of a, got 'b'"),
        (lambda: marked(grid=["{}, rate"]), "with a field for each number, as in '{}, rate {rate}', got '{}, rate'"),
        (lambda: marked(grid=["{}, {}, rate {rate}"]), "as in '{}, rate {rate}', got '{}, {}, rate {rate}'"),
        (lambda: evidence.load("no such"), "name must be one of accuracy_on_the_way, all_labels, "),
        (lambda: evidence.load("../datasets"), "got '../datasets'"),
        (lambda: evidence.save({"experiment": "../evil"}), "experiment must be named as functions are, got '../evil'"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
