// The sparsity curves' page side: it only looks up recorded numbers and draws them, so it lives without a kernel.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 400, HEIGHT = 230, LEFT = 44, RIGHT = 12, TOP = 10, BOTTOM = 40; // of the drawing, in its own units

const percent = (share) => `${(100 * share).toFixed(1)}%`;
const bytes = (size) => size.toLocaleString("en-US");
const times = (factor) => (factor < 10 ? factor.toFixed(1) : String(Math.round(factor)));

function make(tag, className, parent, properties = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  parent?.append(element);
  return element;
}

function draw(tag, className, parent, properties = {}) {
  const element = document.createElementNS(SVG, tag);
  if (className) element.setAttribute("class", className);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  parent?.append(element);
  return element;
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
  return draw(tag, `kd-sc-mark kd-sc-curve${curve}`, parent, place);
}

let views = 0; // makes ids and radio groups unique when one page shows several widgets

function render({ model, el }) {
  const sparsities = model.get("sparsities"), accuracy = model.get("accuracy"), sizes = model.get("sizes");
  const scopes = Object.keys(accuracy), curves = Object.keys(accuracy[scopes[0]]), formats = Object.keys(sizes[scopes[0]]);
  const first = sparsities[0], last = sparsities.at(-1);
  const id = `kd-sc-${++views}-${Math.random().toString(36).slice(2, 8)}`;
  const root = make("div", "kd-sc", el, { role: "group", "aria-label": "Sparsity curves" });

  const controls = make("div", "kd-sc-controls", root), control = make("div", "kd-sc-control", controls);
  const heading = make("div", "kd-sc-heading", control);
  make("label", "", heading, { for: `${id}-slider`, text: "Sparsity: weights that are cut" });
  const output = make("output", "", heading, { for: `${id}-slider`, "aria-live": "off" }); // the slider already says its value
  const slider = make("input", "kd-sc-slider", control, {
    type: "range", id: `${id}-slider`, min: 0, max: sparsities.length - 1, step: 1, "data-lm-suppress-shortcuts": "true",
  });
  slider.addEventListener("input", () => choose("selected", slider.valueAsNumber));

  // Radio buttons, so that arrow keys and screen readers know what to do. JupyterLab must leave those keys alone.
  const pick = make("fieldset", "kd-sc-pick", controls);
  make("legend", "", pick, { text: "Where the smallest weights are looked for" });
  const radios = scopes.map((scope) => {
    const label = make("label", "", pick);
    const radio = make("input", "", label, { type: "radio", name: `${id}-scope`, value: scope, "data-lm-suppress-shortcuts": "true" });
    make("span", "", label, { text: scope });
    radio.addEventListener("change", () => choose("scope", scope));
    return radio;
  });

  const says = make("p", "kd-sc-says", root, { "aria-live": "polite", "aria-atomic": "true" });
  const lines = [0, 1].map(() => make("span", "", says));

  const charts = make("div", "kd-sc-charts", root);
  const left = make("section", "kd-sc-panel", charts);
  make("h4", "", left, { text: "Accuracy" });
  const legend = make("div", "kd-sc-legend", left);
  curves.forEach((curve, i) => {
    const entry = make("span", "", legend), key = draw("svg", "", entry, { width: 28, height: 10, "aria-hidden": "true" });
    draw("path", `kd-sc-line kd-sc-curve${i}`, key, { d: "M0 5H28" });
    mark(key, i, 14, 5, 3);
    entry.append(curve);
  });
  if (scopes.length > 1) make("span", "kd-sc-quiet", legend, { text: scopes.length > 2 ? "(pale: the other scopes)" : "(pale: the other scope)" });

  const chart = draw("svg", "kd-sc-chart", left, { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const xOf = (sparsity) => LEFT + ((sparsity - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const yOf = (share) => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    draw("path", "kd-sc-grid", chart, { d: `M${LEFT} ${yOf(share)}H${WIDTH - RIGHT}` });
    draw("text", "kd-sc-tick", chart, { x: LEFT - 6, y: yOf(share) + 4, "text-anchor": "end", text: `${100 * share}%` });
  }
  let right = -Infinity; // labels that would touch the one before them are left out; the last always stands
  for (const sparsity of sparsities) {
    const x = xOf(sparsity);
    draw("path", "kd-sc-line kd-sc-axis", chart, { d: `M${x} ${yOf(0)}v4` });
    if (sparsity !== last && (x < right + 30 || x > xOf(last) - 30)) continue;
    draw("text", "kd-sc-tick", chart, { x, y: yOf(0) + 16, "text-anchor": "middle", text: Number(sparsity.toFixed(1)) });
    right = x;
  }
  draw("text", "kd-sc-tick", chart, { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle", text: "sparsity in %" });
  const rule = draw("path", "kd-sc-rule", chart);
  const groups = Object.fromEntries(scopes.map((scope) => {
    const group = draw("g", "kd-sc-scope", chart);
    curves.forEach((curve, i) => {
      const points = accuracy[scope][curve].map((share, k) => [xOf(sparsities[k]), yOf(share)]);
      draw("path", `kd-sc-line kd-sc-curve${i}`, group, { d: `M${points.map((point) => point.map((c) => c.toFixed(1)).join(" ")).join("L")}` });
      if (points.length <= 40) for (const [x, y] of points) mark(group, i, x, y, 2);
    });
    return [scope, group];
  }));
  const rings = curves.map(() => draw("circle", "kd-sc-ring", chart, { r: 6 }));

  const box = make("section", "kd-sc-panel", charts);
  make("h4", "", box, { text: "Bytes of all weights, by format" });
  const bars = make("div", "kd-sc-bars", box, { role: "img" });
  const largest = Math.max(...scopes.flatMap((scope) => formats.flatMap((format) => sizes[scope][format]))); // one axis for all points
  const rows = formats.map((format) => {
    const row = make("div", "kd-sc-row", bars);
    make("span", "kd-sc-name", row, { text: format });
    const bar = make("i", "kd-sc-bar", make("span", "kd-sc-track", row));
    return { row, bar, value: make("span", "kd-sc-value", row), note: make("span", "kd-sc-note", row) };
  });

  function redraw() {
    const selected = model.get("selected"), scope = model.get("scope"), sparsity = sparsities[selected];
    const shares = curves.map((curve) => accuracy[scope][curve][selected]), used = formats.map((format) => sizes[scope][format][selected]);
    const smallest = used.indexOf(Math.min(...used)), shown = `${Number(sparsity.toFixed(2))}%`;
    slider.value = selected;
    slider.setAttribute("aria-valuetext", `sparsity ${shown}`);
    output.textContent = shown;
    radios[scopes.indexOf(scope)].checked = true;

    rule.setAttribute("d", `M${xOf(sparsity)} ${TOP}V${yOf(0)}`);
    for (const [name, group] of Object.entries(groups)) group.classList.toggle("kd-sc-pale", name !== scope);
    chart.append(groups[scope], ...rings); // what is looked at lies on top
    rings.forEach((ring, i) => {
      ring.setAttribute("cx", xOf(sparsity));
      ring.setAttribute("cy", yOf(shares[i]));
    });
    rows.forEach(({ row, bar, value, note }, i) => {
      bar.style.width = `${(100 * used[i]) / largest}%`;
      value.textContent = bytes(used[i]);
      note.textContent = i === smallest ? "smallest" : "";
      row.classList.toggle("kd-sc-smallest", i === smallest);
    });

    const accuracies = curves.map((curve, i) => `${percent(shares[i])} ${curve}`).join(", ");
    const factor = used[0] / used[smallest];
    lines[0].textContent = `At ${shown} sparsity, ${scope}: accuracy ${accuracies}.`;
    lines[1].textContent = smallest === 0 ? `Smallest format: ${formats[0]}, ${bytes(used[0])} bytes.`
      : `Smallest format: ${formats[smallest]}, ${bytes(used[smallest])} bytes, ${times(factor)} times smaller than ${formats[0]}.`;
    const ends = curves.map((curve) => `${curve} from ${percent(accuracy[scope][curve][0])} to ${percent(accuracy[scope][curve].at(-1))}`);
    chart.setAttribute("aria-label", `Accuracy, ${scope}, at ${shown} sparsity: ${accuracies}. From ${first}% to ${last}% sparsity: ${ends.join(", ")}.`);
    bars.setAttribute("aria-label", `Bytes at ${shown} sparsity, ${scope}: ${formats.map((format, i) => `${format} ${bytes(used[i])}`).join(", ")}.`);
    root.dataset.numbers = JSON.stringify({ // for tests and for the curious
      sparsity, scope, accuracy: Object.fromEntries(curves.map((curve, i) => [curve, shares[i]])),
      sizes: Object.fromEntries(formats.map((format, i) => [format, used[i]])), smallest: formats[smallest],
    });
  }

  // The model is the one truth: every view of it redraws on its events, wherever the change came from.
  function choose(trait, value) {
    model.set(trait, value);
    model.save_changes();
  }
  const events = ["change:selected", "change:scope"];
  for (const event of events) model.on(event, redraw);
  redraw();
  return () => {
    for (const event of events) model.off(event, redraw);
  };
}

export default { render };
