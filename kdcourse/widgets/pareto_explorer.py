"""The Pareto explorer: compressed networks by cost and accuracy, which of them no other one beats, and which fit a budget.

All is computed in the page (pareto_explorer.js), so the widget is live without a kernel; what it says is held against `kdcourse.pareto`
by tests/browser.
"""

from collections.abc import Mapping

import traitlets

from kdcourse import checks, pareto

from ._page import Checked, Explorer, page

MOST_POINTS = 60  # more could not be told apart


def _limits(name: str, budget, limits: list[str], quality: str) -> dict[str, float] | None:
    """Return a budget that has exactly the keys `limits`; without any, None."""
    if not limits:
        return None if budget is None else checks.refuse(name, "None, because this explorer began without a budget", checks.shown(budget))
    found = pareto.checked_budget(name, budget, [key for key in limits if key != quality], quality)
    if list(found) != limits:
        checks.refuse(name, f"{{name: limit}} with the names {', '.join(limits)}", checks.shown(budget))
    return found


class ParetoExplorer(Explorer):
    """Walk from network to network, choose the cost that counts, move a budget, and read what fits and what is dominated.

    Args:
        points: at most 60 dicts, each with ``name``, its quality (a share in 0..1) under the key `quality`, a number > 0 for each of
            `costs`, and perhaps ``low`` and ``high``, the ends of the quality's interval. `pareto.points_of` makes them of records.
        costs: ``{key: title}``, such as ``{"bytes": "bytes of the file", "ms": "time of one image (ms)"}``; less is better.
        quality: the key of the quality, and what the page calls it.
        budget: ``{key of a cost: the most, key of the quality: the least}``; each gets a slider. None shows no budget.
        cost: the cost shown at first; None takes the first.
        selected: the name of the point whose card is shown at first; None takes the first.

    The traits `cost`, `selected` and `budget` can be read, set and observed like those of any other widget. A budget is set as a whole,
    with the keys that it had at the start.

    Raises:
        ValueError: points that are none or lack a number, more than 60 points, costs that are no titles by key, an unknown cost or point,
            a budget of something else.
    """

    _esm, _css = page("_sparsity", "pareto_explorer")

    points = traitlets.List(traitlets.Dict()).tag(sync=True)
    costs = traitlets.List().tag(sync=True)  # [key, title]: an object of JavaScript would sort keys that are numbers
    quality = traitlets.Unicode().tag(sync=True)
    limits = traitlets.List(traitlets.Unicode()).tag(sync=True)  # the keys that have a slider
    cost = Checked("", checks.choice, lambda explorer: [key for key, _ in explorer.costs])
    selected = Checked("", checks.choice, lambda explorer: [point["name"] for point in explorer.points])
    budget = Checked(None, _limits, lambda explorer: explorer.limits, lambda explorer: explorer.quality)

    def __init__(self, points, costs, quality="accuracy", budget=None, *, cost=None, selected=None, **traits):
        """Check everything first; `traits` are checked by themselves."""
        titled = isinstance(costs, Mapping) and costs and all(isinstance(title, str) and title.strip() for title in costs.values())
        checks.require(titled, f"costs must be {{key: title}}, at least one, got {checks.shown(costs)}")
        points = pareto.checked_points(points, list(costs), quality)
        checks.require(len(points) <= MOST_POINTS, f"points must be at most {MOST_POINTS}, got {len(points)}")
        if budget is not None:
            budget = pareto.checked_budget("budget", budget, costs, quality)
        sent = {"points": points, "costs": [[key, title] for key, title in costs.items()], "quality": quality, "limits": list(budget or ())}
        start = {"cost": next(iter(costs)) if cost is None else cost, "selected": points[0]["name"] if selected is None else selected}
        super().__init__(**sent, **start, budget=budget, **traits)

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "Compressed networks by cost and accuracy: run this cell in JupyterLab, Colab or Binder, and walk from one to the next."
