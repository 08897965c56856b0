// What the explorers' pages share. It stands in front of each explorer's own file: together they are one module, which a notebook stores.

const T_MIN = 0.25, T_MAX = 20, STEPS = 16; // STEPS positions of the temperature's slider double it
const FIRST = STEPS * Math.log2(T_MIN), LAST = Math.ceil(STEPS * Math.log2(T_MAX));
const KEYS = { "data-lm-suppress-shortcuts": "true" }; // on every control: or JupyterLab takes its arrow keys

// Three digits, so that the temperature shown is the temperature used.
const temperatureAt = (position) => Math.min(T_MAX, Number((2 ** (position / STEPS)).toPrecision(3)));
const positionOf = (T) => (T >= T_MAX ? LAST : Math.round(STEPS * Math.log2(T)));

// Information is in nats.
const sum = (values) => values.reduce((a, b) => a + b, 0);
function logSumExp(values) {
  const largest = Math.max(...values); // so that exp never overflows
  return largest + Math.log(sum(values.map((x) => Math.exp(x - largest))));
}
function logSoftmax(logits, T) {
  const scaled = logits.map((x) => x / T), logSum = logSumExp(scaled);
  return scaled.map((x) => x - logSum);
}
const softmax = (logits, T) => logSoftmax(logits, T).map(Math.exp);
const entropy = (logP) => Math.abs(sum(logP.map((l) => Math.exp(l) * l))); // never -0
const kl = (logP, logQ) => sum(logP.map((l, i) => Math.exp(l) * (l - logQ[i])));
const order = (values) => values.map((_, i) => i).sort((a, b) => values[b] - values[a]);

const formatT = (T) => (Number.isInteger(T) ? T.toFixed(1) : String(Number(T.toPrecision(3))));
const percent = (p) => (p < 0.001 ? "<0.1%" : p > 0.9994 ? ">99.9%" : `${(100 * p).toFixed(1)}%`);
const count = (n) => n.toLocaleString("en-US");

function make(tag, className, parent, properties = {}, element = document.createElement(tag)) {
  if (className) element.setAttribute("class", className);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  parent?.append(element);
  return element;
}

/** The element around an explorer, and an id that no other view on the page has; `names` are to fit in front of bars. */
function frame(el, className, label, names, most = 9) {
  const root = make("div", `kd ${className}`, el, { role: "group", "aria-label": label });
  if (names) root.style.setProperty("--kd-name", `calc(${Math.min(most, Math.max(...names.map((name) => name.length)))}ch + 10px)`);
  return { root, id: `${className}-${Math.random().toString(36).slice(2)}` };
}

/** A slider with its name, its value and its ticks, [text, place between 0 and 1]; returns what shows (position, value, value in words). */
function slider(parent, id, name, limits, ticks, moved) {
  const box = make("div", "kd-control", parent), heading = make("div", "kd-heading", box);
  make("label", "", heading, { for: id, text: name });
  const output = make("output", "", heading, { for: id, "aria-live": "off" }); // the slider already says its value
  const input = make("input", "kd-slider", box, { type: "range", id, ...limits, ...KEYS });
  input.addEventListener("input", () => moved(input.valueAsNumber));
  const scale = ticks.length && make("div", "kd-ticks", box, { "aria-hidden": "true" });
  for (const [text, at] of ticks) make("span", "", scale, { text, style: `--at: ${at}` });
  return (position, value, words) => {
    input.value = position;
    output.textContent = value;
    input.setAttribute("aria-valuetext", words);
  };
}

function temperatureSlider(parent, id, model) {
  const ticks = [0.25, 0.5, 1, 2, 4, 8, 20].map((T) => [T, (positionOf(T) - FIRST) / (LAST - FIRST)]);
  const show = slider(parent, `${id}-temperature`, "Temperature T", { min: FIRST, max: LAST, step: 1 }, ticks,
    (position) => choose(model, "temperature", temperatureAt(position)));
  return (T) => show(positionOf(T), formatT(T), `temperature ${formatT(T)}`);
}

/** Radio buttons, so that arrow keys and screen readers know what to do; `look` adds what is seen of one. */
function radios(parent, className, id, title, values, moved, look = (label, value) => make("span", "", label, { text: value })) {
  const pick = make("fieldset", className, parent);
  make("legend", "", pick, { text: title });
  return values.map((value) => {
    const label = make("label", "", pick), radio = make("input", "", label, { type: "radio", name: `${id}-pick`, value, ...KEYS });
    look(label, value, radio);
    radio.addEventListener("change", () => moved(value));
    return radio;
  });
}

/** A menu of [value, text]. */
function menu(parent, id, title, options, moved) {
  make("label", "", parent, { for: id, text: title });
  const select = make("select", "", parent, { id, ...KEYS });
  for (const [value, text] of options) make("option", "", select, { value, text });
  select.addEventListener("change", () => moved(select.value));
  return select;
}

function legend(parent, entries) {
  const box = make("div", "kd-legend", parent);
  for (const [kind, text] of entries) {
    const entry = make("span", "", box);
    make("i", `kd-key kd-${kind}`, entry);
    entry.append(text);
  }
}

/** A row for each name, with a bar and a value for each of `kinds`. Bars are made once and only resized later. */
function chart(parent, className, names, kinds) {
  const box = make("div", `kd-chart ${className}`, parent, { role: "img" });
  const rows = names.map((text) => {
    const row = make("div", "kd-row", box), name = make("span", "kd-name", row, { text }), track = make("span", "kd-track", row);
    const bars = kinds.map((kind) => make("i", `kd-bar kd-${kind}`, track)), values = make("span", "kd-values", row);
    return { row, name, track, bars, values: kinds.map(() => make("span", "", values)) };
  });
  return { box, rows };
}

/** The picture in words, a line each: what stands below does not jump while a slider moves. */
function says(parent, lines) {
  const box = make("p", "kd-says", parent, { "aria-live": "polite", "aria-atomic": "true" });
  return Array.from({ length: lines }, () => make("span", "", box));
}

function choose(model, trait, value) {
  model.set(trait, value);
  model.save_changes();
}

/** The model is the one truth: every view redraws on its events, wherever the change came from. Returns what ends that. */
function listen(model, draws) {
  for (const [trait, draw] of Object.entries(draws)) model.on(`change:${trait}`, draw);
  return () => {
    for (const [trait, draw] of Object.entries(draws)) model.off(`change:${trait}`, draw);
  };
}
