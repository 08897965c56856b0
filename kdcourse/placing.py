"""Where ticks, names and the values of a stretched axis have their place in a picture: plain geometry, lengths in inches.

A box is (left, bottom, right, top). `widgets/pareto_explorer.js` chooses its axes by the same rules.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import NamedTuple

from .pictures import text_height, text_width, wrapped

STRETCHED = 4  # times the least error: where the largest is more, an axis of shares is stretched
LEAST_ERROR = 0.1  # %, where such an axis ends
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)  # between the ticks of one that is not
REACHES = (0.1, 0.22, 0.4, 0.6, 0.85, 1.1)  # of a name from its spot; from the second on a line leads to it
TURNS = (0, 8, 2, 6, 14, 10, 4, 12, 1, 7, 15, 9, 3, 5, 11, 13)  # sixteenths of a circle: beside, then askew, then above and below
NEAR, DOT = 0.08, 0.07  # where a line begins, half of a dot's box
WIDEST_NAME = 1.7


def rungs(values: Iterable[float]) -> list[float]:
    """Return the numbers 1, 2 and 5 times a power of 10 around all `values`, which are > 0: ends and ticks of a logarithmic axis."""
    least, most = min(values) / 1.05, max(values) * 1.05
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 1)
    found = [float(f"{digit}e{power}") for power, digit in product(powers, (1, 2, 5))]
    first = max(i for i, rung in enumerate(found) if rung <= least)
    return found[first : 1 + next(i for i, rung in enumerate(found) if rung >= most)]


def along(value: float, ends: list[float]) -> float:
    """Return the place of `value` on a logarithmic axis, 0 at the first of `ends` and 1 at the last."""
    return math.log(value / ends[0]) / math.log(ends[-1] / ends[0])


def apart(ticks: list[float], text: Callable[[float], str], width: float) -> list[float]:
    """Return those ticks of a logarithmic axis, `width` inches long, whose labels do not touch; its ends always."""
    half = {tick: text_width(text(tick)) / 2 + 0.05 for tick in ticks}
    reach = {tick: (width * along(tick, ticks) - half[tick], width * along(tick, ticks) + half[tick]) for tick in ticks}
    kept, last = [ticks[0]], ticks[-1]
    for tick in ticks[1:-1]:
        if reach[tick][0] >= reach[kept[-1]][1] and reach[tick][1] <= reach[last][0]:
            kept.append(tick)
    return [*kept, last]


class Shares(NamedTuple):
    """An axis of shares in per cent: its ticks, and whether equal steps upwards divide the errors by equal factors."""

    ticks: list[float]
    stretched: bool

    def place(self, percent: float) -> float:
        """Return the place of a number, 0 at the first tick and 1 at the last; a stretched axis ends there."""
        first, last = self.ticks[0], self.ticks[-1]
        if not self.stretched:
            return (percent - first) / (last - first)
        return math.log((100 - first) / (100 - min(max(percent, first), last))) / math.log((100 - first) / (100 - last))


def shares(means: list[float], ends: list[float]) -> Shares:
    """Return an axis for `means` in per cent and for the `ends` of their intervals.

    It is stretched where the errors differ by a factor of 4 or more: so 97 and 98 are told apart, and 60 has a place.
    """
    low, high = min(means + ends), max(means + ends)
    worst, best = 100 - low, max(100 - max(means), LEAST_ERROR)
    if worst / best >= STRETCHED:
        errors = [error for error in rungs([max(100 - high, best / 2), worst]) if error <= 100]
        return Shares([100 - error for error in reversed(errors)], True)
    room = 0.05 if low == high else 0  # one value alone needs some
    low, high = low - room, min(high + room, 100)
    step = next(step for step in STEPS if (high - low) / step <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Shares([round(step * i, 2) for i in range(first, last + 1)], False)


class Name(NamedTuple):
    """A name as it is written, its box, and the ends of the line that leads to it, or None where it stands beside its spot."""

    text: str
    box: tuple
    line: tuple | None


def names_beside(spots: Mapping[str, tuple], taken: Iterable[tuple], room: tuple) -> dict[str, Name]:
    """Return {name: where it stands} beside its spot, or farther away with a line to it, so that nothing covers it.

    Args:
        spots: ``{name: (x, y)}`` of dots; the first ones choose first. A name without any free place is left out.
        taken: boxes where no name may stand, besides the dots.
        room: the box in which names may stand.
    """
    taken, found = [*taken, *(_around(spot, DOT) for spot in spots.values())], {}
    for name, spot in spots.items():
        others = [other for other in spots.values() if other != spot]
        place = next(
            (one for one in _places(name, spot) if _within(one.box, room) and _fits(one, spot, taken, others, found.values())), None
        )
        if place:
            found[name] = place
    return found


def _fits(place: Name, spot: tuple, taken: list, others: list, names: Iterable[Name]) -> bool:
    """Tell whether nothing is in the way of a name, and its line neither crosses another one nor leads through other dots or names."""
    texts, lines = [one.box for one in names], [one.line for one in names if one.line]
    if any(_touch(place.box, box) for box in (*taken, *texts)) or any(_hit(line, place.box) for line in lines):
        return False
    if not place.line:
        return True
    start, dots = place.line[0], [_around(other, 0.6 * DOT) for other in others]
    mine = all(math.dist(start, spot) < math.dist(start, other) for other in others)  # or it would seem to begin at another dot
    return mine and not any(_hit(place.line, box) for box in (*texts, *dots)) and not any(_cross(place.line, line) for line in lines)


def _places(name: str, spot: tuple):
    """Yield the places of a name around its spot, the nearest first."""
    text, (x, y) = wrapped(name, WIDEST_NAME), spot
    wide, high = text_width(text) + 0.04, text_height(text)
    for reach, turn in product(REACHES, TURNS):
        if reach > REACHES[0] and turn % 4 == 0:
            continue  # the line would lie on a bar or on a step
        across, up = math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)
        left, bottom = x + reach * across - wide * (1 - across) / 2, y + reach * up - high * (1 - up) / 2
        box = left, bottom, left + wide, bottom + high
        yield Name(text, box, _line(spot, box))


def _line(spot: tuple, box: tuple) -> tuple | None:
    """Return the ends of a line from a spot to the nearest place of a box, or None where there is no room for one."""
    (x, y), (left, bottom, right, top) = spot, box
    across, up = min(max(x, left), right) - x, min(max(y, bottom), top) - y
    length = math.hypot(across, up)
    if length < NEAR + 0.05:
        return None
    return tuple((x + share * across, y + share * up) for share in (NEAR / length, 1 - 0.02 / length))


def _around(spot: tuple, half: float) -> tuple:
    """Return the box around a spot."""
    return spot[0] - half, spot[1] - half, spot[0] + half, spot[1] + half


def _within(box: tuple, room: tuple) -> bool:
    """Tell whether a box lies in a room."""
    return box[0] > room[0] and box[1] > room[1] and box[2] < room[2] and box[3] < room[3]


def _touch(one: tuple, other: tuple) -> bool:
    """Tell whether two boxes share a place."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _cross(one: tuple, other: tuple) -> bool:
    """Tell whether two lines, given by their ends, cross."""

    def side(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])

    return side(*one, other[0]) != side(*one, other[1]) and side(*other, one[0]) != side(*other, one[1])


def _hit(line: tuple, box: tuple) -> bool:
    """Tell whether a line goes through a box."""
    left, bottom, right, top = box
    inside = any(left < x < right and bottom < y < top for x, y in line)
    return inside or _cross(line, ((left, bottom), (right, top))) or _cross(line, ((left, top), (right, bottom)))
