// What the explorers of pruned networks share.

const WIDTH = 400, HEIGHT = 230, LEFT = 44, RIGHT = 12, TOP = 10, BOTTOM = 40; // of the drawing of accuracies, in its own units

const times = (factor) => (factor < 10 ? factor.toFixed(1) : String(Math.round(factor)));

function draw(tag, className, parent, properties) {
  return make(tag, className, parent, properties, document.createElementNS("http://www.w3.org/2000/svg", tag));
}

/** A slider over sparsities and the choice of a scope out of [name, title]. */
function sparsityControls(root, id, model, limits, moved, scopes) {
  const controls = make("div", "kd-sp-controls", root);
  const show = slider(controls, `${id}-slider`, "Sparsity: weights that are cut", { min: 0, step: 1, ...limits }, [], moved);
  const inputs = radios(controls, "kd-sp-pick", id, "Where the smallest weights are looked for", scopes.map(([scope]) => scope),
    (scope) => choose(model, "scope", scope), (label, scope) => make("span", "", label, { text: new Map(scopes).get(scope) }));
  return { controls, show, inputs };
}

/** A curve's mark, so that curves differ in more than their colour. */
function mark(parent, curve, x, y, size) {
  const shapes = [
    ["rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size }],
    ["circle", { cx: x, cy: y, r: size * 1.15 }],
    ["path", { d: `M${x} ${y - size * 1.3}l${size * 1.3} ${size * 2.3}h${-size * 2.6}z` }],
    ["path", { d: `M${x} ${y - size * 1.4}l${size * 1.4} ${size * 1.4}l${-size * 1.4} ${size * 1.4}l${-size * 1.4} ${-size * 1.4}z` }],
  ];
  const [tag, place] = shapes[curve % shapes.length];
  return draw(tag, `kd-sp-mark kd-sp-curve${curve}`, parent, place);
}

/** A curve through points [x, y]. */
function curve(group, i, points) {
  group.replaceChildren();
  if (!points.length) return;
  draw("path", `kd-sp-line kd-sp-curve${i}`, group, { d: `M${points.map((point) => point.map((c) => c.toFixed(1)).join(" ")).join("L")}` });
  if (points.length <= 40) for (const [x, y] of points) mark(group, i, x, y, 2);
}

function curveLegend(parent, names) {
  const box = make("div", "kd-legend", parent);
  for (const [i, name] of names) {
    const entry = make("span", "", box), key = draw("svg", "", entry, { width: 28, height: 10, "aria-hidden": "true" });
    draw("path", `kd-sp-line kd-sp-curve${i}`, key, { d: "M0 5H28" });
    mark(key, i, 14, 5, 3);
    entry.append(name);
  }
  return box;
}

/** The drawing of accuracies over sparsities in per cent, with a tick at each of `ticks`. */
function accuracies(parent, ticks) {
  const chart = draw("svg", "kd-sp-chart", parent, { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const first = ticks[0], last = ticks.at(-1);
  const xOf = (sparsity) => LEFT + ((sparsity - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const yOf = (share) => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    draw("path", "kd-sp-grid", chart, { d: `M${LEFT} ${yOf(share)}H${WIDTH - RIGHT}` });
    draw("text", "", chart, { x: LEFT - 6, y: yOf(share) + 4, "text-anchor": "end", text: `${100 * share}%` });
  }
  let right = -Infinity; // labels that would touch the one before them are left out; the last always stands
  for (const sparsity of ticks) {
    const x = xOf(sparsity);
    draw("path", "kd-sp-line kd-sp-axis", chart, { d: `M${x} ${yOf(0)}v4` });
    if (sparsity !== last && (x < right + 30 || x > xOf(last) - 30)) continue;
    draw("text", "", chart, { x, y: yOf(0) + 16, "text-anchor": "middle", text: Number(sparsity.toFixed(1)) });
    right = x;
  }
  draw("text", "", chart, { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle", text: "sparsity in %" });
  return { chart, xOf, yOf };
}

/** A bar of bytes for each format, up to `largest`; returns what shows other bytes, and says the smallest. */
function byteBars(parent, formats, largest) {
  const { box, rows } = chart(parent, "kd-sp-bytes", formats, ["size"]), notes = rows.map(({ row }) => make("span", "kd-sp-smallest", row));
  return (used, where) => {
    const smallest = used.indexOf(Math.min(...used));
    rows.forEach(({ row, bars, values }, i) => {
      bars[0].style.width = `${(100 * used[i]) / largest}%`;
      values[0].textContent = count(used[i]);
      notes[i].textContent = i === smallest ? "smallest" : "";
      row.classList.toggle("kd-sp-best", i === smallest);
    });
    box.setAttribute("aria-label", `Bytes ${where}: ${formats.map((format, i) => `${format} ${count(used[i])}`).join(", ")}.`);
    const factor = smallest === 0 ? "" : `, ${times(used[0] / used[smallest])} times smaller than ${formats[0]}`;
    return [smallest, `Smallest format: ${formats[smallest]}, ${count(used[smallest])} bytes${factor}.`];
  };
}
