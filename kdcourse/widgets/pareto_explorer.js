// The Pareto explorer's page side: who dominates whom and who fits the budget is computed here, so that it lives without a kernel.
// Names as in kdcourse.pareto; a cost is better if it is less, the quality if it is more.

const WIDE = 440, HIGH = 300, PLOT = { left: 54, right: 428, top: 14, bottom: 252 }; // of the drawing, in its own units
const COST_STEPS = 200, ROUNDING = 1e-9, STRETCHED = 4, LEAST_ERROR = 0.001, LETTER = 5.9, DIGIT = 7; // the last two are widths, at most

const numeral = (x) => (x >= 1000 || Number.isInteger(x) ? count(Math.round(x)) : String(Number(x.toPrecision(3))));
const exact = (share) => `${(100 * share).toFixed(2)}%`;
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const listed = (points) => points.map((point) => point.name).join("; ");

/** For each point, those that dominate it. */
function dominators(points, cost, quality) {
  const beats = (a, b) => (a[cost] < b[cost] || a[quality] > b[quality]) && a[cost] <= b[cost] && a[quality] >= b[quality];
  return new Map(points.map((point) => [point, points.filter((other) => beats(other, point))]));
}

/** The numbers 1, 2 and 5 times a power of 10 around all values: the ends and the ticks of a logarithmic axis. */
function rungs(values) {
  const least = Math.min(...values) / 1.05, most = 1.05 * Math.max(...values), found = [];
  for (let power = Math.floor(Math.log10(least)); !(found.at(-1) >= most); power++) found.push(...[1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  const first = found.findLastIndex((rung) => rung <= least), last = found.findIndex((rung) => rung >= most);
  return found.slice(Math.max(first, 0), last + 1);
}

/** The quality's axis: its ticks in per cent, and where a share has its place, from 0 (below) to 1. */
function axisOf(points, quality) {
  const means = points.map((point) => point[quality]), values = points.flatMap((point) => [point.low ?? point[quality], point.high ?? point[quality]]);
  const worst = 1 - Math.min(...values), best = Math.max(1 - Math.max(...means), LEAST_ERROR), end = Math.max(1 - Math.max(...values), best / 2);
  if (worst / best >= STRETCHED) { // equal steps upwards divide the errors by equal factors: 97% and 98% are told apart, and 60% has a place
    const errors = rungs([end, worst]).filter((error) => error <= 1).reverse(), [first, last] = [errors[0], errors.at(-1)];
    return { ticks: errors.map((error) => Number((100 * (1 - error)).toFixed(2))), at: (share) => Math.log(first / Math.min(Math.max(1 - share, last), first)) / Math.log(first / last), stretched: true };
  }
  const ticks = percents(values);
  return { ticks, at: (share) => (100 * share - ticks[0]) / (ticks.at(-1) - ticks[0]), stretched: false };
}

/** The ticks of a linear axis in per cent, at most 7. */
function percents(values) {
  const middle = Math.min(...values) === Math.max(...values) ? 0.05 : 0; // one value alone needs some room
  const least = 100 * Math.min(...values) - middle, most = Math.min(100, 100 * Math.max(...values) + middle);
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((one) => (most - least) / one <= 5);
  const first = Math.floor(least / step + ROUNDING), last = Math.ceil(most / step - ROUNDING);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toFixed(2)));
}

/** Those of the ticks whose labels do not touch, the two ends always. */
function apart(ticks, placeOf) {
  const half = (tick) => (DIGIT * numeral(tick).length) / 2 + 4, last = ticks.at(-1);
  let right = -Infinity;
  return ticks.filter((tick) => {
    const x = placeOf(tick), fits = x - half(tick) >= right && (tick === last || x + half(tick) <= placeOf(last) - half(last));
    if (fits) right = x + half(tick);
    return fits || tick === last;
  });
}

/** Names beside points [x, y, text], the first ones first; a name is left out if no place is free where its point is clearly the nearest. */
function placed(points, taken) {
  const found = [], heights = [-19, 5, -32, 18];
  for (const [x, y, text] of points) {
    const wide = LETTER * text.length, beside = heights.flatMap((down) => [6, -6 - wide, -wide / 2].map((across) => [across, down]));
    const box = [[9, -7], [-9 - wide, -7], ...beside].map(([across, down]) => [x + across, y + down, x + across + wide, y + down + 14]).find((one) => {
      const [left, top, right, bottom] = one, far = ([px, py]) => Math.hypot(Math.max(left - px, px - right, 0), Math.max(top - py, py - bottom, 0));
      return left > PLOT.left + 2 && right < WIDE && top > 0 && bottom < PLOT.bottom && points.every((other) => other[2] === text || far(other) > 1.4 * far([x, y]))
        && taken.every((other) => right <= other[0] || left >= other[2] || bottom <= other[1] || top >= other[3]);
    });
    if (!box) continue;
    taken.push(box);
    found.push([text, box[0], box[1] + 11]);
  }
  return found;
}

/** All that is drawn for a cost, made once; `show` lets it be seen or not. */
function viewOf(svg, points, [cost, title], quality, yOf) {
  const group = draw("g", "", svg), ticks = rungs(points.map((point) => point[cost])), [first, last] = [ticks[0], ticks.at(-1)];
  const at = (value) => Math.log(value / first) / Math.log(last / first), xOf = (value) => PLOT.left + at(value) * (PLOT.right - PLOT.left);
  for (const tick of apart(ticks, xOf)) {
    const half = (DIGIT * numeral(tick).length) / 2;
    draw("path", "kd-sp-line kd-sp-axis", group, { d: `M${xOf(tick)} ${PLOT.bottom}v4` });
    draw("text", "", group, { x: Math.min(xOf(tick), WIDE - half), y: PLOT.bottom + 17, "text-anchor": "middle", text: numeral(tick) });
  }
  draw("text", "", group, { x: (PLOT.left + PLOT.right) / 2, y: HIGH - 10, "text-anchor": "middle", text: `${title}, logarithmic` });
  const order = [...points].sort((a, b) => a[cost] - b[cost]), by = dominators(points, cost, quality);
  const front = order.filter((point) => !by.get(point).length), places = new Map(points.map((point) => [point, [xOf(point[cost]), yOf(point[quality])]]));
  const taken = [...places.values()].map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
  const stairs = front.map((point, i) => {
    const [x, y] = places.get(point), [next, above] = places.get(front[i + 1]) ?? [PLOT.right, y];
    taken.push([x, y - 1, next, y + 1], [next - 1, above, next + 1, y]);
    return `${i ? "" : `M${x} ${y}`}H${next}V${above}`;
  });
  draw("path", "kd-pe-stairs", group, { d: stairs.join("") });
  for (const point of points) {
    if (point.low === null) continue;
    const [x] = places.get(point), ends = [yOf(point.high), yOf(point.low)], cut = ends[0] <= PLOT.top ? "m3 0" : "h6m-3 0"; // beyond the axis it has no end
    draw("path", `kd-pe-bar${by.get(point).length ? " kd-pe-pale" : ""}`, group, { d: `M${x - 3} ${ends[0]}${cut}V${ends[1]}m-3 0h6` });
    taken.push([x - 3, ends[0], x + 3, ends[1]]);
  }
  const wanted = [...front, ...order.filter((point) => by.get(point).length)];
  const names = new Map(placed(wanted.map((point) => [...places.get(point), point.name]), taken).map(([name, x, y]) => [name, draw("text", "kd-pe-name", group, { x, y, text: name })]));
  for (const point of wanted) names.get(point.name)?.classList.toggle("kd-pe-pale", by.get(point).length > 0);
  return { title, order, by, front, places, names, xOf, at, ticks, show: (yes) => group.setAttribute("visibility", yes ? "visible" : "hidden") };
}

function render({ model, el }) {
  const points = model.get("points"), costs = model.get("costs"), quality = model.get("quality"), limits = model.get("limits");
  const { root, id } = frame(el, "kd-pe", "Pareto explorer");
  const controls = make("div", "kd-pe-controls", root);
  const picks = costs.length < 2 ? [] : radios(controls, "kd-sp-pick", id, "Cost on the axis", costs, ([key]) => choose(model, "cost", key),
    (label, [, title]) => make("span", "", label, { text: title }));
  const sliders = limits.length && make("div", "kd-pe-sliders", controls), lines = says(root, limits.length ? 2 : 1);

  const charts = make("div", "kd-charts", root), left = make("section", "kd-panel kd-pe-left", charts), heading = make("h4", "", left);
  legend(left, [["pe-front", "not dominated"], ["pe-dominated", "dominated"], ...(limits.length ? [["pe-within", "within the budget"]] : []), ["pe-stairs", "the best up to a cost"]]);
  const plot = make("div", "kd-pe-plot", left), svg = draw("svg", "kd-sp-chart", plot, { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" });
  const { ticks, at: heightOf, stretched } = axisOf(points, quality), yOf = (share) => PLOT.bottom - heightOf(share) * (PLOT.bottom - PLOT.top);
  const region = draw("path", "kd-pe-region", svg), rule = draw("path", "kd-sp-rule", svg);
  for (const tick of ticks) {
    draw("path", "kd-sp-grid", svg, { d: `M${PLOT.left} ${yOf(tick / 100)}H${PLOT.right}` });
    draw("text", "", svg, { x: PLOT.left - 6, y: yOf(tick / 100) + 4, "text-anchor": "end", text: `${tick}%` });
  }
  const views = new Map(costs.map((cost) => [cost[0], viewOf(svg, points, cost, quality, yOf)]));
  const box = make("div", "kd-pe-points", plot, { role: "radiogroup", "aria-label": "Points, in the order of their cost" });
  const marks = new Map(points.map((point) => {
    const input = make("input", "kd-pe-point", box, { type: "radio", name: `${id}-point`, ...KEYS });
    for (const event of ["change", "pointerenter"]) input.addEventListener(event, () => choose(model, "selected", point.name));
    return [point, input];
  }));

  const right = make("section", "kd-panel kd-pe-card", charts), name = make("h4", "", right), table = make("table", "kd-pe-numbers", right);
  const cells = [quality, ...(points.some((point) => point.low !== null) ? ["its interval"] : []), ...costs.map(([, title]) => title)].map((text) => {
    const row = make("tr", "", table);
    make("th", "", row, { text, scope: "row" });
    return make("td", "", row);
  });
  const verdict = make("p", "kd-pe-verdict", right), fits = limits.length && make("p", "kd-pe-verdict", right);
  make("p", "kd-note", right, { text: "A point is dominated if another one costs no more and is at least as good, and is better in one of the two. The means are compared: where intervals overlap, other seeds may tell otherwise." });
  if (stretched) make("p", "kd-note", left, { text: `The axis of the ${quality} is stretched towards 100%.` });

  // Each limit has its slider: of a cost by equal factors, of the quality by tenths of a point.
  const least = Math.floor(10 * ticks[0]), most = Math.ceil(10 * ticks.at(-1)), width = 190; // of the ticks of a slider
  const limit = new Map(limits.map((key) => {
    const moved = (value) => choose(model, "budget", { ...model.get("budget"), [key]: value });
    if (key === quality) {
      const ends = [least, most].map((end) => [`${end / 10}%`, (end - least) / (most - least)]);
      const show = slider(sliders, `${id}-quality`, `Least ${quality}`, { min: least, max: most, step: 1 }, ends, (position) => moved(position / 1000));
      return [key, (value) => show(Math.round(1000 * value), `${Number((100 * value).toFixed(2))}%`, `${quality} ${exact(value)} or more`)];
    }
    const { title, at, ticks: [first], ticks: rungsOfCost } = views.get(key), last = rungsOfCost.at(-1);
    const valueAt = (position) => Number((first * (last / first) ** (position / COST_STEPS)).toPrecision(3));
    const show = slider(sliders, `${id}-${costs.findIndex(([one]) => one === key)}`, `Most ${title}`, { min: 0, max: COST_STEPS, step: 1 },
      apart(rungsOfCost, (tick) => width * at(tick)).map((tick) => [numeral(tick), at(tick)]), (position) => moved(valueAt(position)));
    return [key, (value) => show(Math.round(COST_STEPS * at(value)), numeral(value), `${title} ${numeral(value)} or less`)];
  }));
  let drawn = null;

  function redraw() {
    const cost = model.get("cost"), chosen = points.find((point) => point.name === model.get("selected")), budget = model.get("budget");
    const view = views.get(cost), { title, order, by, front, places, names, xOf } = view;
    const within = points.filter((point) => limits.every((key) => (key === quality ? point[key] >= budget[key] - ROUNDING : point[key] <= budget[key])));
    if (cost !== drawn) {
      for (const [key, other] of views) other.show(key === cost);
      const focused = box.getRootNode().activeElement;
      box.append(...order.map((point) => marks.get(point))); // the arrow keys go in this order
      if (box.contains(focused)) focused.focus({ preventScroll: true }); // a moved element loses it
      for (const [point, mark] of marks) {
        mark.style.left = `${(100 * places.get(point)[0]) / WIDE}%`;
        mark.style.top = `${(100 * places.get(point)[1]) / HIGH}%`;
      }
      picks.forEach((pick, i) => { pick.checked = costs[i][0] === cost; });
    }
    drawn = cost;
    for (const [point, mark] of marks) {
      const above = by.get(point), fit = limits.length > 0 && within.includes(point);
      mark.checked = point === chosen;
      mark.classList.toggle("kd-pe-dominated", above.length > 0);
      mark.classList.toggle("kd-pe-within", fit);
      names.get(point.name)?.classList.toggle("kd-pe-selected", point === chosen);
      const words = [`${quality} ${exact(point[quality])}`, `${title} ${numeral(point[cost])}`, above.length ? `dominated by ${listed(above)}` : "not dominated"];
      mark.setAttribute("aria-label", `${point.name}: ${[...words, ...(fit ? ["within the budget"] : [])].join("; ")}`);
    }

    const interval = chosen.low === null ? "none" : `${exact(chosen.low)} to ${exact(chosen.high)}`;
    const told = [exact(chosen[quality]), ...(cells.length > costs.length + 1 ? [interval] : []), ...costs.map(([key]) => numeral(chosen[key]))];
    cells.forEach((cell, i) => { cell.textContent = told[i]; });
    name.textContent = chosen.name;
    verdict.textContent = by.get(chosen).length ? `In ${title}, it is dominated by ${listed(by.get(chosen))}.`
      : `In ${title}, it is not dominated: nothing here costs less and is at least as good, or costs the same and is better.`;
    heading.textContent = `${capital(quality)} by ${title}`;
    const fronts = `In ${title}, ${front.length} of ${points.length} ${front.length > 1 ? "are" : "is"} not dominated: ${listed(front)}.`;
    lines[0].textContent = fronts;
    let best = null;
    if (limits.length) {
      for (const [key, show] of limit) show(budget[key]);
      best = order.filter((point) => within.includes(point)).reduce((a, b) => (a && a[quality] >= b[quality] ? a : b), null);
      lines[1].textContent = best ? `${within.length} of ${points.length} ${within.length > 1 ? "fit" : "fits"} the budget; the best of them in ${quality} is ${best.name} with ${exact(best[quality])}.`
        : `None of ${points.length} fits the budget.`;
      const failed = limits.filter((key) => (key === quality ? chosen[key] < budget[key] - ROUNDING : chosen[key] > budget[key]));
      fits.textContent = failed.length ? `Outside the budget in ${failed.map((key) => views.get(key)?.title ?? quality).join(" and ")}.` : "Within the budget.";
      const inside = (value, low, high) => Math.min(Math.max(value, low), high);
      const x = inside(xOf(budget[cost] ?? Infinity), PLOT.left, PLOT.right), y = inside(yOf(budget[quality] ?? 0), PLOT.top, PLOT.bottom);
      region.setAttribute("d", `M${PLOT.left} ${PLOT.top}H${x}V${y}H${PLOT.left}z`);
      rule.setAttribute("d", `${cost in budget ? `M${x} ${PLOT.top}V${PLOT.bottom}` : ""}${quality in budget ? `M${PLOT.left} ${y}H${PLOT.right}` : ""}`);
    }
    svg.setAttribute("aria-label", `${heading.textContent}, ${points.length} points. ${fronts}${limits.length ? ` ${lines[1].textContent}` : ""}`);
    root.dataset.numbers = JSON.stringify({ // for tests and for the curious
      cost, selected: chosen.name, order: order.map((point) => point.name), front: front.map((point) => point.name),
      dominated: Object.fromEntries([...by].map(([point, above]) => [point.name, above.map((one) => one.name)])),
      budget, within: limits.length ? within.map((point) => point.name) : null, best: best && best.name,
    });
  }

  redraw();
  return listen(model, { cost: redraw, selected: redraw, budget: redraw });
}

export default { render };
