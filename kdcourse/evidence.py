"""Paired comparisons over seeds: a difference, a 95% interval, a verdict, and the records in ``data/experiments`` that hold them.

The rule, written down once:

1. Both variants run on the same seeds, so that each seed gives one difference ``variant - baseline`` (same data, same order, same start).
2. The interval is Student's t interval of the mean difference, with ``n - 1`` degrees of freedom. It is made for small samples.
3. With fewer than 5 seeds there is no interval, and the verdict is INCONCLUSIVE, whatever the numbers say.
4. WINS: the whole interval lies on the better side of 0. LOSES: the whole interval lies on the worse side. Else INCONCLUSIVE.
5. A difference that WINS or LOSES by less than the experiment's smallest difference that matters is called too small to matter.

The interval speaks of the seeds: new starts, new batches, new draws of the labels. It does not speak of other test images.
"""

import html
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from .checks import choice, number, refuse, shown, whole
from .files import data_path, written_whole

LEAST_SEEDS = 5
CONFIDENCE = 0.95
MATTERS = 0.3  # points: three of 1,000 test images
MOST_SEED = 2**32 - 1  # the largest that NumPy and Keras take
LINES = 6  # of a record's table that a notebook shows; the rest is folded
KEPT_SPACE = "\u00a0"  # no line ends here
MARKS = {"WINS": "▲", "LOSES": "▼", "INCONCLUSIVE": "○"}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"


def scale_of(unit: str) -> tuple[int, str, str]:
    """Return (factor, unit of a value, unit of a difference) for printing numbers of a `unit`, "percent" or any other name."""
    return (100, "%", " points") if unit == "percent" else (1, f" {unit}", f" {unit}")


@dataclass(frozen=True)
class Comparison:
    """One variant against its baseline; `difference`, `low` and `high` are in the metric's unit, the ends None below 5 seeds.

    `str` of it is a line of the record's table. `matters` is the smallest difference that matters, in points for the unit "percent", else
    in the unit; 0 for none.
    """

    variant: str
    baseline: str
    seeds: int
    variant_mean: float
    baseline_mean: float
    difference: float
    low: float | None
    high: float | None
    verdict: str
    unit: str = "percent"
    matters: float = MATTERS

    @property
    def label(self) -> str:
        """The verdict, with "too small to matter" where that is so."""
        small = self.verdict != "INCONCLUSIVE" and abs(scale_of(self.unit)[0] * self.difference) < self.matters
        return f"{self.verdict}, too small to matter" if small else self.verdict

    @property
    def span(self) -> str:
        """The difference and its interval, as in "+1.20 points [+0.90, +1.50]"."""
        scale, _, points = scale_of(self.unit)
        if self.low is None:
            interval = f", no interval: {self.seeds} seed{'s' * (self.seeds > 1)}, {LEAST_SEEDS} are needed"
        else:
            interval = f" [{scale * self.low:+.2f}, {scale * self.high:+.2f}]"
        return f"{scale * self.difference:+.2f}{points}{interval}"

    def __str__(self) -> str:
        """Return the line "WINS         soft against hard: +1.20 points [+0.90, +1.50]"."""
        return f"{self.label + ':' * (self.label != self.verdict):12} {self.variant} against {self.baseline}: {self.span}"


STORED = tuple(field.name for field in fields(Comparison) if field.name not in ("unit", "matters"))  # the record itself has these two


def paired_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return (mean, low, high) of paired `differences`: Student's t interval (W. S. Gosset, 1908).

    One difference alone has no spread to estimate: its interval is infinite.

    Raises:
        ValueError: no differences, a value that is not finite, or `confidence` outside (0, 1).
    """
    from scipy import stats

    number("confidence", confidence, 0, 1, open_low=True, open_high=True)
    values = [number("each of differences", one) for one in differences]
    if not values:
        refuse("differences", "at least one number", "none")
    count, mean = len(values), math.fsum(values) / len(values)
    if count == 1:
        return mean, -math.inf, math.inf
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (count - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * spread / math.sqrt(count)
    return mean, mean - half, mean + half


def verdict(low: float, high: float, seeds: int, higher_is_better: bool = True) -> str:
    """Return WINS, LOSES or INCONCLUSIVE by the rule at the top of this module.

    Raises:
        ValueError: `low` is greater than `high`.
    """
    if low > high:
        refuse("low", f"<= high, which is {high}", low)
    if seeds < LEAST_SEEDS or low <= 0 <= high:
        return "INCONCLUSIVE"
    return "WINS" if (low > 0) == higher_is_better else "LOSES"


def compare(
    values: Mapping[str, Sequence[float]],
    variant: str,
    baseline: str,
    higher_is_better: bool = True,
    unit: str = "percent",
    matters: float = MATTERS,
) -> Comparison:
    """Compare two variants of `values` ({variant: one number for each seed, in the same order of seeds}).

    Raises:
        ValueError: an unknown variant, or variants with different numbers of seeds.
    """
    a, b = (list(values[choice(name, given, values)]) for name, given in (("variant", variant), ("baseline", baseline)))
    if len(a) != len(b):
        refuse("variant and baseline", "on the same seeds", f"{len(a)} values of {variant!r} and {len(b)} of {baseline!r}")
    mean, low, high = paired_interval([x - y for x, y in zip(a, b, strict=True)])
    judged = verdict(low, high, len(a), higher_is_better)
    ends = (low, high) if len(a) >= LEAST_SEEDS else (None, None)
    return Comparison(variant, baseline, len(a), _mean(a), _mean(b), mean, *ends, judged, unit, matters)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


# --- experiments ---


def experiment(
    metric: str,
    compare: Sequence[tuple[str, str]],
    higher_is_better: bool = True,
    unit: str = "percent",
    *,
    matters: float | None = None,
    cases: Mapping[str, Mapping] | None = None,
    grid: Sequence[str] = (),
    extends: str | None = None,
    sentinel: bool | str = False,
) -> Callable:
    """Mark a function ``name(seed) -> {variant: metric}`` as an experiment; it stays the plain function it was.

    Args:
        metric: what each number is, with its split: ``"accuracy on the test split"``.
        compare: pairs ``(variant, baseline)``, in the order in which the table prints them.
        higher_is_better: False for errors and losses.
        unit: "percent" for shares in 0..1, which are printed as percent and compared in points; else the unit's name, as in "nats".
        matters: the smallest difference that matters, in points (other units: in the unit); None is 0.3 points, and 0 for other units.
        cases: ``{name of the record: keyword arguments}`` for a function ``(seed, **arguments)`` that makes several records. Write it
            out on the page: the tool reads the names there. Each case runs as ``function.cases[name](seed)``.
        grid: for a search of settings, how its variants are named, as in ``["{} T={T}, rate {rate}", "{}, rate {rate}"]``: ``{}`` is
            what was searched for, a named field a number of the grid. A variant belongs to the first that fits it, or to no grid.
        extends: the record of a search that this one continues with the same names; both are one grid.
        sentinel: True, or the name of a case, for the one experiment of the chapter that every test run repeats.

    Raises:
        ValueError: `compare` holds no pairs, a case is no name, `sentinel` is no case.
    """
    pairs = [() if isinstance(pair, str) else tuple(pair) for pair in compare]
    if not all(len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in pairs):
        refuse("compare", "pairs (variant, baseline)", shown(compare))
    smallest = number("matters", matters, 0) if matters is not None else MATTERS if unit == "percent" else 0
    declared = {"metric": metric, "higher_is_better": higher_is_better, "unit": unit, "matters": smallest}
    declared |= ({"grid": list(grid)} if grid else {}) | ({"extends": extends} if extends else {})
    for template in grid:
        holes = re.findall(r"\{(\w*)\}", template)
        if not any(holes) or len(set(holes)) < len(holes):
            refuse("grid", "names of variants with a field for each number, as in '{}, rate {rate}'", shown(template))
    for case in cases or ():
        _checked_name("cases", case)
    if isinstance(sentinel, str):
        choice("sentinel", sentinel, cases or ())

    def mark(function):
        if cases is None:
            function.declared, function.compare = declared, pairs
        else:
            function.cases = {case: mark_case(function, case, dict(arguments)) for case, arguments in cases.items()}
        return function

    def mark_case(function, case, arguments):
        def run_case(seed):
            return function(seed, **arguments)

        run_case.__name__, run_case.declared, run_case.compare = case, declared, pairs
        return run_case

    return mark


def checked_seeds(seeds: Iterable[int]) -> list[int]:
    """Return `seeds` as a list.

    Raises:
        ValueError: none, one twice, or one that is not an integer in 0..2**32-1.
    """
    found = [whole("each of seeds", seed, 0, MOST_SEED) for seed in seeds]
    if not found:
        refuse("seeds", "at least one integer", "none")
    if len(set(found)) < len(found):
        refuse("seeds", "different from each other", found)
    return found


def run(function: Callable, seeds: Iterable[int]) -> "Record":
    """Run an experiment over `seeds` and return its record (without the environment; the recorder adds that).

    Args:
        function: made by `experiment`; of a function with cases, one of ``function.cases``.
        seeds: different integers in 0..2**32-1; all are checked before one runs.

    Raises:
        ValueError: bad seeds, a function that is no experiment, or results that the record could not hold (see `as_record`).
    """
    seeds = checked_seeds(seeds)
    if not hasattr(function, "compare"):
        refuse("function", "marked with @evidence.experiment, or one of its cases", repr(function))
    results = {}
    for seed in seeds:
        results[seed] = dict(function(seed))
        as_record(function, results)  # what is wrong shows after the first seed, not after the last
    return as_record(function, results)


def as_record(function: Callable, results: Mapping[int, Mapping[str, float]]) -> "Record":
    """Return the record of `results` ({seed: {variant: metric}}) of an experiment.

    Raises:
        ValueError: a result that is not finite, seeds with different variants, or a comparison of a variant that has no result.
    """
    variants = list(next(iter(results.values())))
    for seed, result in results.items():
        if set(result) != set(variants):
            refuse(f"the variants of seed {seed}", f"those of the first seed, {', '.join(variants)}", ", ".join(result))
    values = {v: [number(f"{v!r} of seed {seed}", result[v]) for seed, result in results.items()] for v in variants}
    for variant in (name for pair in function.compare for name in pair):
        choice("each variant of compare", variant, variants)
    pairs = [list(pair) for pair in function.compare]
    record = Record({"experiment": function.__name__, **function.declared, "seeds": [], "values": {}, "compare": pairs})
    return record.on(list(results), values)


# --- records ---


class Record:
    """What an experiment gave. In a notebook it shows as its picture and the first lines of its table.

    `data` is the dict that its JSON file holds; ``record["seeds"]`` reads it. Its keys: ``experiment``, ``metric``, ``higher_is_better``,
    ``unit``, ``matters``, ``seeds``, ``values`` ({variant: one number for each seed}), ``compare`` (pairs of variants), ``comparisons``,
    perhaps ``grid`` and ``extends``; from the recorder ``code_sha256`` (of the page's code, see tools/code_hash.py), ``versions``, ``cpu``,
    ``cores``, ``seconds``, ``date``, perhaps ``restamped`` (when one seed ran again on a changed page and agreed) and ``replication``
    (other seeds: ``seeds``, ``values``, ``comparisons``, and where it was made). Every number that a record prints is computed from
    ``values``.
    """

    def __init__(self, data: "Mapping | Record"):
        """Take over `data`; nothing is copied deeper than its first level."""
        self.data = dict(data)

    def __getitem__(self, key: str):
        """Return what the JSON file holds under `key`."""
        return self.data[key]

    def keys(self):
        """Return the keys of `data`; with them ``dict(record)`` and ``{**record}`` are dicts."""
        return self.data.keys()

    def __repr__(self) -> str:
        """Return the table."""
        return table(self)

    name = property(lambda self: self["experiment"], doc="The experiment's name.")
    metric = property(lambda self: self["metric"], doc="What each number is.")
    unit = property(lambda self: self["unit"], doc='"percent", or the name of another unit.')
    higher_is_better = property(lambda self: self["higher_is_better"], doc="False for errors and losses.")
    seeds = property(lambda self: self["seeds"], doc="The seeds, in the order of the values.")
    values = property(lambda self: self["values"], doc="{variant: one number for each seed}.")

    @property
    def matters(self) -> float:
        """The smallest difference that matters, in points (other units: in the unit); 0 for none."""
        return self.data.get("matters", MATTERS if self.unit == "percent" else 0)

    @property
    def means(self) -> dict[str, float]:
        """{variant: mean over the seeds}."""
        return {variant: _mean(numbers) for variant, numbers in self.values.items()}

    @property
    def comparisons(self) -> list[Comparison]:
        """The comparisons that the experiment names."""
        return [self.comparison(variant, baseline) for variant, baseline in self["compare"]]

    @property
    def replication(self) -> "Record | None":
        """The same experiment on other seeds, or None."""
        again = self.data.get("replication")
        return Record({key: self[key] for key in self.keys() - {"replication", "restamped"}} | again) if again else None

    def on(self, seeds: list[int], values: dict[str, list[float]]) -> "Record":
        """Return this record with other seeds and values, and with the comparisons that follow from them."""
        record = Record({**self, "seeds": seeds, "values": values})
        record.data["comparisons"] = [{name: getattr(c, name) for name in STORED} for c in record.comparisons]
        return record

    def comparison(self, variant: str, baseline: str) -> Comparison:
        """Compare any two variants; `str` of the answer is the line with difference, interval and verdict.

        Raises:
            ValueError: an unknown variant.
        """
        return compare(self.values, variant, baseline, self.higher_is_better, self.unit, self.matters)

    def verdict(self, variant: str, baseline: str) -> str:
        """Return WINS, LOSES or INCONCLUSIVE for any two variants."""
        return self.comparison(variant, baseline).verdict

    def edges(self) -> dict[str, list[str]]:
        """Return what was searched for whose best setting lies at the edge of the grid: {what: ["rate 0.02 is the highest", ...]}.

        The best setting is that of the best mean. If several share the best mean, it lies at an edge only if all of them do.
        """
        means = (load(self["extends"]).means if self.data.get("extends") else {}) | self.means
        found = {}
        for (_, what), variants in self._searched(means).items():
            settings = [(setting, means[variant]) for variant, setting in variants.items()]
            best = (max if self.higher_is_better else min)(mean for _, mean in settings)
            for axis in settings[0][0]:
                ends = {float(setting[axis]): setting[axis] for setting, _ in settings}
                at = {float(setting[axis]) for setting, mean in settings if mean == best}
                for end, word in ((min(ends), "lowest"), (max(ends), "highest")):
                    if len(ends) > 1 and at == {end}:
                        found.setdefault(what, []).append(f"{axis} {ends[end]} is the {word}")
        return found

    def _searched(self, names: Iterable[str]) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
        """Return {(template, what was searched for): {variant: its settings}}; variants in no grid are left out."""
        found = {}
        for variant in names:
            if place := _place(self.data.get("grid", ()), variant):
                found.setdefault(place[:2], {})[variant] = place[2]
        return found

    def _html(self) -> str:
        """Return the record as a page shows it: at most six rows, verdicts before means, and the rest folded below.

        Of a search it shows the best setting of each thing that was searched for.
        """
        edges = "".join(f"<p>{html.escape(line)}</p>" for line in _parts(self)[-1])
        if len(self.values) + len(self["compare"]) <= LINES:
            return _title(self) + _verdict_rows(self, LINES) + _mean_rows(self, self.values) + edges
        order = sorted(self.values, key=self.means.get, reverse=self.higher_is_better)
        firsts = {min(variants, key=order.index) for variants in self._searched(order).values()}
        best = [variant for variant in order if variant in firsts or not firsts][:LINES]
        name, folded = "All means", _mean_rows(self, self.values)
        if len(self["compare"]) > LINES:
            name, folded = "The whole table", _verdict_rows(self, len(self["compare"])) + folded
        short = _verdict_rows(self, LINES) or _mean_rows(self, best)
        return f"{_title(self)}{short}{edges}<details><summary>{name}</summary>{folded}</details>"

    def _ipython_display_(self):
        from IPython.display import display

        for picture in _draw(self) if _draw else ():
            display(picture)
        display({"text/html": self._html(), "text/plain": table(self)}, raw=True)


_draw = None


def drawn_by(function: Callable) -> Callable:
    """Let `function(record)` draw the pictures, a list, with which a record shows itself in a notebook; return it.

    `kdcourse.plots` calls this.
    """
    global _draw
    _draw = function
    return function


def _place(grid: Sequence[str], variant: str) -> tuple[str, str, dict[str, str]] | None:
    """Return (template, what was searched for, {axis: number as it is written}) of a variant, or None if it is in no grid."""
    for template in grid:
        text = re.split(r"\{(\w*)\}", template)
        holes = [f"(?P<{name}>{NUMBER})" if name else "(?P<what_>.+)" for name in text[1::2]]
        pattern = "".join(part for pair in zip(map(re.escape, text[::2]), [*holes, ""], strict=True) for part in pair)
        if match := re.fullmatch(pattern, variant):
            axes = match.groupdict()
            return template, axes.pop("what_", text[0].strip(" =,")), axes
    return None


def _parts(record: Record) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the lines of a record's table: title, each variant's mean, verdicts, and what lies at the edge of the grid."""
    scale, unit, _ = scale_of(record.unit)
    width, again = max(map(len, record.values)), record.replication
    few = f" (fewer than {LEAST_SEEDS}: no verdict)" if len(record.seeds) < LEAST_SEEDS else ""
    title, means, verdicts, edges = [f"{record.name}: {record.metric}, {_seeds(record)}{few}"], [], [], []
    if again:
        title.append(f"replication: {_seeds(again)}, {again['date']}")
    for variant, values in record.values.items():
        spread = f"   lowest {scale * min(values):6.2f}  highest {scale * max(values):6.2f}" if len(record.seeds) > 1 else ""
        means.append(f"  {variant:{width}}  {scale * _mean(values):6.2f}{unit}{spread}")
    for comparison in record.comparisons:
        verdicts.append(str(comparison))
        if again:
            second = again.comparison(comparison.variant, comparison.baseline)
            verdicts.append(f"  replication: {second.label}, {second.span}")
    if record.data.get("grid"):
        found = "; ".join(f"{what}: {' and '.join(ends)}" for what, ends in record.edges().items())
        edges.append(f"optimum at the edge of the grid: {found or 'none'}")
    return title, means, verdicts, edges


def _title(record: Record) -> str:
    again, few = record.replication, f" (fewer than {LEAST_SEEDS}: no verdict)" if len(record.seeds) < LEAST_SEEDS else ""
    parts = [record.metric] + ([] if record.higher_is_better else ["lower is better"])
    parts += [f"{_span(record.seeds)}{few}", *([record["date"]] if "date" in record.keys() else [])]
    parts += [f"replication: {_span(again.seeds)}, {again['date']}"] if again else []
    return f"<p><b>{html.escape(record.name)}</b>: {html.escape('; '.join(parts))}</p>"


def _span(seeds: Sequence[int]) -> str:
    """Return "10 seeds (20 to 29)", or the seeds one by one where they do not follow each other."""
    row = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))) and len(seeds) > 2
    return f"{len(seeds)} seed{'s' * (len(seeds) > 1)} ({f'{seeds[0]} to {seeds[-1]}' if row else ' '.join(map(str, seeds))})"


def _mean_rows(record: Record, variants: Iterable[str]) -> str:
    """Return the table of the means of some variants."""
    scale, unit, _ = scale_of(record.unit)
    numbers = {variant: (_mean(record.values[variant]), min(record.values[variant]), max(record.values[variant])) for variant in variants}
    rows = [[variant, *(f"{scale * one:.2f}" for one in three)] for variant, three in numbers.items()]
    return _rows([f"mean ({unit.strip()})", "lowest", "highest"], rows, "rrr")


def _verdict_rows(record: Record, most: int) -> str:
    """Return the table of the first comparisons, with a column for the replication if there is one; of no comparisons nothing."""
    points, again, rows = scale_of(record.unit)[2].strip(), record.replication, []
    for comparison in record.comparisons[:most]:
        rows.append([comparison.variant, comparison.baseline, *_judged(comparison)])
        if again:
            rows[-1].append(" ".join(_judged(again.comparison(comparison.variant, comparison.baseline))))
    head = ["against", f"difference ({points})", f"{CONFIDENCE:.0%} interval", "verdict"] + (
        [f"on {len(again.seeds)} other seeds"] if again else []
    )
    left = len(record["compare"]) - most
    more = f"<p>{left} more comparison{'s stand' if left > 1 else ' stands'} in the whole table.</p>" if left > 0 else ""
    return _rows(head, rows, "lrrll") + more if rows else ""


def _judged(comparison: Comparison) -> list[str]:
    """Return difference, interval and verdict as a page shows them; a mark of its own shape stands before each verdict."""
    scale, low, high = scale_of(comparison.unit)[0], comparison.low, comparison.high
    interval = "none" if low is None else f"[{scale * low:+.2f},{KEPT_SPACE}{scale * high:+.2f}]"
    return [f"{scale * comparison.difference:+.2f}", interval, f"{MARKS[comparison.verdict]}{KEPT_SPACE}{comparison.label}"]


def _rows(head: list[str], rows: list[list[str]], sides: str) -> str:
    """Return a table for a page: the variants, then columns at the sides l or r. It reads well without styles too."""
    places = {"l": 'align="left" style="text-align: left"', "r": 'align="right"'}  # JupyterLab puts all to the right

    def line(cells: list[str], tag: str, scope: str) -> str:
        first = f'<th scope="{scope}" {places["l"]}>{html.escape(cells[0])}</th>'
        others = (f"<{tag} {places[side]}>{html.escape(cell)}</{tag}>" for cell, side in zip(cells[1:], sides, strict=False))
        return f"<tr>{first}{''.join(others)}</tr>"

    body = "".join(line(row, "td", "row") for row in rows)
    return f'<table cellpadding="4"><thead>{line(["variant", *head], "th", "col")}</thead><tbody>{body}</tbody></table>'


def _seeds(record: Record) -> str:
    return f"seed{'s' * (len(record.seeds) > 1)} {' '.join(map(str, record.seeds))}"


def table(record: Record | Mapping) -> str:
    """Return the table of a `record` as text: each variant's mean, then each comparison with interval and verdict, and its replication."""
    return "\n".join(line for part in _parts(Record(record)) for line in part)


def names() -> list[str]:
    """Return the names of all recorded experiments."""
    return sorted(path.stem for path in data_path("experiments").glob("[!.]*.json"))


def load(name: str) -> Record:
    """Return the record of the experiment `name`.

    Raises:
        ValueError: no such record.
    """
    path = data_path("experiments", f"{choice('name', name, names())}.json")
    return Record(json.loads(path.read_text(encoding="utf-8")))


def save(record: Record | Mapping, folder: str | Path | None = None) -> Path:
    """Write `record` to ``<folder>/<experiment>.json`` (default: the course's data folder), whole or not at all, and return the path.

    Raises:
        ValueError: the experiment's name is no Python name, or a number is not finite.
    """
    path = Path(folder or data_path("experiments")) / f"{_checked_name('experiment', record['experiment'])}.json"
    text = json.dumps(dict(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"  # before the file is touched
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _checked_name(what: str, name) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        refuse(what, "named as functions are", shown(name))
    return name
