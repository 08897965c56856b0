"""Paired comparisons over seeds: a difference, a 95% interval, and a verdict.

The rule, written down once:

1. Both arms run on the same seeds, so that each seed gives one difference ``arm - baseline`` (same data, same order, same start).
2. The interval is Student's t interval of the mean difference, with ``n - 1`` degrees of freedom. It is made for small samples.
3. With fewer than 5 seeds the verdict is INCONCLUSIVE, whatever the numbers say.
4. WINS: the whole interval lies on the better side of 0. LOSES: the whole interval lies on the worse side. Else INCONCLUSIVE.

The interval speaks of the seeds: new starts, new batches, new draws of the labels. It does not speak of other test images.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

LEAST_SEEDS = 5
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """One arm against its baseline; `difference`, `low` and `high` are in the metric's unit."""

    arm: str
    baseline: str
    seeds: int
    arm_mean: float
    baseline_mean: float
    difference: float
    low: float
    high: float
    verdict: str


def paired_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return (mean, low, high) of paired `differences`: Student's t interval (W. S. Gosset, 1908).

    One difference alone has no spread to estimate: its interval is infinite.

    Raises:
        ValueError: no differences, a value that is not finite, or `confidence` outside (0, 1).
    """
    from scipy import stats

    values = [float(d) for d in differences]
    if not values:
        raise ValueError("differences must hold at least one number, got none")
    if not all(math.isfinite(v) for v in values):
        raise ValueError(f"differences must be finite, got {values}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    count, mean = len(values), math.fsum(values) / len(values)
    if count == 1:
        return mean, -math.inf, math.inf
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (count - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * spread / math.sqrt(count)
    return mean, mean - half, mean + half


def verdict(low: float, high: float, seeds: int, higher_is_better: bool = True) -> str:
    """Return WINS, LOSES or INCONCLUSIVE by the rule at the top of this module."""
    if low > high:
        raise ValueError(f"low must be <= high, got {low} and {high}")
    if seeds < LEAST_SEEDS:
        return "INCONCLUSIVE"
    if low > 0:
        return "WINS" if higher_is_better else "LOSES"
    if high < 0:
        return "LOSES" if higher_is_better else "WINS"
    return "INCONCLUSIVE"


def compare(values: dict[str, Sequence[float]], arm: str, baseline: str, higher_is_better: bool = True) -> Comparison:
    """Compare two arms of `values` ({arm: one number for each seed, in the same order of seeds}).

    Raises:
        ValueError: an unknown arm, or arms with different numbers of seeds.
    """
    for name, given in (("arm", arm), ("baseline", baseline)):
        if given not in values:
            raise ValueError(f"{name} must be one of {list(values)}, got {given!r}")
    a, b = list(values[arm]), list(values[baseline])
    if len(a) != len(b):
        raise ValueError(f"arm and baseline must have the same seeds, got {len(a)} values of {arm!r} and {len(b)} of {baseline!r}")
    mean, low, high = paired_interval([x - y for x, y in zip(a, b, strict=True)])
    means = math.fsum(a) / len(a), math.fsum(b) / len(b)
    return Comparison(arm, baseline, len(a), *means, mean, low, high, verdict(low, high, len(a), higher_is_better))


def experiment(metric: str, compare: Sequence[tuple[str, str]], higher_is_better: bool = True, unit: str = "percent") -> Callable:
    """Mark a function ``name(seed) -> {arm: metric}`` as an experiment; it stays the plain function it was.

    Args:
        metric: what each number is, with its split: ``"accuracy on the test split"``.
        compare: pairs ``(arm, baseline)``, in the order in which the table prints them.
        higher_is_better: False for errors and losses.
        unit: "percent" for shares in 0..1, which are printed as percent and compared in points; else the unit's name, as in "nats".
    """

    def mark(function):
        function.metric, function.compare = metric, [tuple(pair) for pair in compare]
        function.higher_is_better, function.unit = higher_is_better, unit
        return function

    return mark


def run(function: Callable, seeds: Iterable[int], done: dict | None = None, after_seed: Callable | None = None) -> dict:
    """Run an experiment over `seeds` and return its record (without the environment; the recorder adds that).

    Args:
        function: made by `experiment`.
        seeds: distinct integers.
        done: {seed: {arm: metric}} that an interrupted run left; these seeds are not run again.
        after_seed: called with (seed, {arm: metric}) as soon as a seed has finished.

    Raises:
        ValueError: no seeds, a seed twice, or a function that is no experiment.
    """
    seeds = [int(seed) for seed in seeds]
    if not seeds:
        raise ValueError("seeds must hold at least one integer, got none")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must differ from each other, got {seeds}")
    if not hasattr(function, "compare"):
        raise ValueError(f"function must be marked with @evidence.experiment, got {function!r}")
    results = {int(seed): result for seed, result in (done or {}).items()}
    for seed in seeds:
        if seed not in results:
            results[seed] = {arm: float(value) for arm, value in function(seed).items()}
            if after_seed:
                after_seed(seed, results[seed])
    return as_record(function, {seed: results[seed] for seed in seeds})


def as_record(function: Callable, results: dict[int, dict[str, float]]) -> dict:
    """Return the record of `results` ({seed: {arm: metric}}) of an experiment."""
    arms = list(next(iter(results.values())))
    values = {arm: [result[arm] for result in results.values()] for arm in arms}
    comparisons = [compare(values, arm, baseline, function.higher_is_better) for arm, baseline in function.compare]
    return {
        "experiment": function.__name__,
        "metric": function.metric,
        "higher_is_better": function.higher_is_better,
        "unit": function.unit,
        "seeds": list(results),
        "values": values,
        "compare": [list(pair) for pair in function.compare],
        # JSON has no infinity: the interval of a single seed is stored as null
        "comparisons": [{k: None if isinstance(v, float) and math.isinf(v) else v for k, v in asdict(c).items()} for c in comparisons],
    }


def scale_of(record: dict) -> tuple[int, str, str]:
    """Return (factor, unit of a value, unit of a difference) for printing a record's numbers."""
    return (100, "%", " points") if record["unit"] == "percent" else (1, f" {record['unit']}", f" {record['unit']}")


def table(record: dict) -> str:
    """Return the verdict table of a `record` as text: each arm's mean, then each comparison with interval and verdict."""
    scale, unit, points = scale_of(record)
    width = max(len(arm) for arm in record["values"])
    seeds = record["seeds"]
    few = f" (fewer than {LEAST_SEEDS}: no verdict)" if len(seeds) < LEAST_SEEDS else ""
    lines = [f"{record['experiment']}: {record['metric']}, seed{'s' * (len(seeds) > 1)} {' '.join(map(str, seeds))}{few}"]
    for arm, values in record["values"].items():
        mean = math.fsum(values) / len(values)
        spread = f"   lowest {scale * min(values):6.2f}  highest {scale * max(values):6.2f}" if len(seeds) > 1 else ""
        lines.append(f"  {arm:{width}}  {scale * mean:6.2f}{unit}{spread}")
    for c in record["comparisons"]:
        interval = "" if c["low"] is None else f" [{scale * c['low']:+.2f}, {scale * c['high']:+.2f}]"
        lines.append(f"{c['verdict']:12} {c['arm']} against {c['baseline']}: {scale * c['difference']:+.2f}{points}{interval}")
    return "\n".join(lines)


def verdict_of(record: dict, arm: str, baseline: str) -> str:
    """Return the verdict that a `record` holds for `arm` against `baseline`.

    Raises:
        ValueError: the record does not compare these two.
    """
    for comparison in record["comparisons"]:
        if (comparison["arm"], comparison["baseline"]) == (arm, baseline):
            return comparison["verdict"]
    raise ValueError(f"arm and baseline must be one of the pairs {record['compare']}, got {[arm, baseline]}")
