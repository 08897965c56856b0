"""Networks as points with a quality and costs, and which of them no other one beats.

A point is a dict: ``name``; its quality, a share in 0..1 of which more is better; a number > 0 for each cost, of which less is better;
perhaps ``low`` and ``high``, the ends of the quality's interval, and ``seeds``, of how many runs the quality is the mean.

All comparisons are of the means. Where intervals overlap, other seeds may tell otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence

from . import checks
from .evidence import LEAST_SEEDS, Record, paired_interval

RESERVED = ("name", "low", "high", "seeds")  # keys of a point that are no cost
ROUNDING = 1e-9  # a mean of 0.985 may be stored as a hair less


def dominated(points: Iterable[Mapping], cost: str, quality: str = "accuracy") -> dict[str, list[str]]:
    """Return, for each point, the names of those that dominate it, in the order of `points`.

    One point dominates another if its cost is not larger and its quality not smaller, and one of the two is better. Points that are equal
    in both do not dominate each other.

    Args:
        points: dicts as the top of this module says.
        cost: the key of the cost, such as "bytes".
        quality: the key of the quality.

    Raises:
        ValueError: points that are none, see `checked_points`.
    """
    return _dominated(checked_points(points, [cost], quality), cost, quality)


def _dominated(points: list[dict], cost: str, quality: str) -> dict[str, list[str]]:
    def beats(one, other):
        better = one[cost] < other[cost] or one[quality] > other[quality]
        return better and one[cost] <= other[cost] and one[quality] >= other[quality]

    return {other["name"]: [one["name"] for one in points if beats(one, other)] for other in points}


def front(points: Iterable[Mapping], cost: str, quality: str = "accuracy") -> list[str]:
    """Return the names of the points that no other one dominates (the Pareto front), the one of the lowest cost first.

    Raises:
        ValueError: points that are none, see `checked_points`.
    """
    points = checked_points(points, [cost], quality)
    by = _dominated(points, cost, quality)
    return [point["name"] for point in sorted(points, key=lambda point: point[cost]) if not by[point["name"]]]


def within(points: Iterable[Mapping], budget: Mapping[str, float], quality: str = "accuracy") -> list[str]:
    """Return the names of the points within a budget, in the order of `points`.

    Args:
        points: dicts as the top of this module says.
        budget: ``{cost: the most that is allowed}``; under the key `quality`, the least quality. Each key may be left out.
        quality: the key of the quality.

    Raises:
        ValueError: points or a budget that are none.
    """
    costs = [key for key in budget if key != quality] if isinstance(budget, Mapping) else ()
    points, budget = checked_points(points, costs, quality), checked_budget("budget", budget, costs, quality)
    least = budget.get(quality, 0) - ROUNDING
    return [point["name"] for point in points if point[quality] >= least and all(point[key] <= budget[key] for key in costs)]


def points_of(
    record: Record | Mapping,
    costs: Mapping[str, Record | Mapping[str, float]],
    quality: str = "accuracy",
    variants: Sequence[str] | None = None,
) -> list[dict]:
    """Return a point for each variant of an experiment: its mean with the 95% interval, and its costs.

    Args:
        record: of an experiment that gives shares, of which more is better. Below 5 seeds its points have no interval.
        costs: ``{name of the cost: another record, or {variant: number}}``; of a record the mean is taken. Variants of a cost that
            `record` does not have are left out.
        quality: what the record's metric is called in the points.
        variants: of which to make points; None takes all.

    Raises:
        ValueError: a record of another kind, an unknown variant, or one without a cost.
    """
    record = Record(record)
    if record.unit != "percent" or not record.higher_is_better:
        unit = f"unit {record.unit!r} where {'more' if record.higher_is_better else 'less'} is better"
        checks.refuse("record", 'one of shares, unit "percent", where more is better', unit)
    variants = list(record.values) if variants is None else checks.names("variants", variants, record.values)
    if not isinstance(costs, Mapping) or not costs:
        checks.refuse("costs", "{name of the cost: record, or {variant: number}}, at least one", checks.shown(costs))
    tables = {cost: _numbers(f"costs[{cost!r}]", table, variants) for cost, table in costs.items()}
    points = []
    for variant in variants:
        mean, low, high = paired_interval(record.values[variant])
        enough = len(record.seeds) >= LEAST_SEEDS
        ends = {"low": max(low, 0.0), "high": min(high, 1.0)} if enough else {}  # no share is above 100%
        own = {cost: table[variant] for cost, table in tables.items()}
        points.append({"name": variant, quality: mean, **ends, "seeds": len(record.seeds), **own})
    return checked_points(points, list(costs), quality)


def _numbers(name: str, table, variants: list[str]) -> Mapping[str, float]:
    """Return {variant: cost} of a record or of a table that has all the variants."""
    if isinstance(table, Record):
        checks.require(not table.higher_is_better, f"{name} must be a record where less is better, got {table.name!r}, where more is")
        table = table.means
    if not isinstance(table, Mapping):
        checks.refuse(name, "a record, or {variant: number}", checks.shown(table))
    if without := [variant for variant in variants if variant not in table]:
        checks.refuse(name, "a cost of every variant", f"none of {', '.join(map(repr, without))}")
    return table


# --- checks ---


def checked_points(points, costs: Iterable[str], quality: str = "accuracy") -> list[dict]:
    """Return points as new dicts of plain Python numbers, with ``low`` and ``high`` (None for no interval) and without unknown keys.

    Raises:
        ValueError: no points, names that are not different, a cost that is not > 0, a quality outside 0..1 or outside its interval.
    """
    if isinstance(points, str | bytes | Mapping) or not isinstance(points, Iterable):
        checks.refuse("points", "a list of dicts, at least one", checks.shown(points))
    points = list(points)
    if not points or not all(isinstance(point, Mapping) for point in points):
        checks.refuse("points", "a list of dicts, at least one", checks.shown(points))
    names = checks.names("the names of points", [point.get("name") for point in points])
    for key in (quality, *(costs := checks.names("costs", costs, least=0))):
        allowed = isinstance(key, str) and key not in RESERVED and (key != quality or quality not in costs)
        checks.require(allowed, f"quality and costs must be different keys other than {', '.join(RESERVED)}, got {checks.shown(key)}")
    return [_checked_point(name, point, costs, quality) for name, point in zip(names, points, strict=True)]


def _checked_point(name: str, point: Mapping, costs: list[str], quality: str) -> dict:
    found = {"name": name, quality: checks.number(f"{quality} of {name!r}", point.get(quality), 0, 1), "low": None, "high": None}
    ends = [point.get(end) for end in ("low", "high")]
    if ends != [None, None]:
        found["low"] = checks.number(f"low of {name!r}", ends[0], 0, found[quality], what=f"up to its {quality}")
        found["high"] = checks.number(f"high of {name!r}", ends[1], found[quality], 1, what=f"from its {quality} on")
    if point.get("seeds") is not None:
        found["seeds"] = checks.whole(f"seeds of {name!r}", point["seeds"])
    return found | {cost: checks.number(f"{cost} of {name!r}", point.get(cost), 0, open_low=True) for cost in costs}


def checked_budget(name: str, budget, costs: Iterable[str], quality: str = "accuracy") -> dict[str, float]:
    """Return a budget as floats, in the order of `costs` and then the quality.

    Raises:
        ValueError: a key that is none of these, a cost that is not > 0, a quality outside 0..1.
    """
    known = [*costs, quality]
    if not isinstance(budget, Mapping) or not budget or not set(budget) <= set(known):
        checks.refuse(name, f"{{name: limit}} with names out of {', '.join(known)}, at least one", checks.shown(budget))
    limits = {key: (0, 1) if key == quality else (0,) for key in known if key in budget}
    return {key: checks.number(f"{name}[{key!r}]", budget[key], *ends, open_low=key != quality) for key, ends in limits.items()}
