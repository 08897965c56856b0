// The bit-width explorer's page side: all of its arithmetic, in float64 as NumPy's, so that it lives without a kernel.
// Names as in kdcourse.quantization: scale, zero point, low and high of a grid; a row holds the weights of one output.

const LEAST_BITS = 2, MOST_BITS = 16, LEAST_CLIP = 20, ALL_LAYERS = "all layers";
const PER = ["tensor", "channel"], SCALE_BITS = 32;
const BINS = 64, WIDE = 400, MARGIN = 12, STAIRS = [8, 196], TICKS = [206, 14], BARS = [228, 318]; // places in the drawing, from the top
const CURVES_WIDE = 400, CURVES = { left: 50, right: 388, top: 8, bottom: 150 };

// Adding and taking away 1.5 * 2^52 leaves no place for a fraction: the processor rounds, half-way numbers to the even integer.
const rint = (x) => x + 6755399441055744 - 6755399441055744;
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

/** A layer as it was sent, its weights as numbers, the rows of its outputs and their ranges. */
function unpacked(sent) {
  const bytes = Uint8Array.from(atob(sent.weights), (letter) => letter.charCodeAt(0)), weights = new Float32Array(bytes.buffer);
  const rows = sent.outputs.map((_, i) => weights.subarray(i * sent.inputs, (i + 1) * sent.inputs));
  const largest = Math.max(...sent.range.map(Math.abs));
  return { ...sent, rows, ranges: rows.map((row) => [Math.min(...row), Math.max(...row)]), largest, bars: histogram(weights, largest) };
}

/** The grid that spans `clip` per cent of [least, most]; 0 is on it. */
function gridOf([least, most], { bits, symmetric, clip }) {
  const half = 2 ** (bits - 1), low = symmetric ? 1 - half : -half, high = half - 1, share = clip / 100;
  if (symmetric) [least, most] = [-Math.max(-least, most), Math.max(-least, most)];
  const from = Math.min(share * least, 0), to = Math.max(share * most, 0), scale = (to - from) / (high - low) || 1;
  return { scale, zero: symmetric ? 0 : clamp(rint(low - from / scale), low, high), low, high };
}

const onto = (x, { scale, zero, low, high }) => clamp(rint(x / scale) + zero, low, high);
const back = (integer, { scale, zero }) => Math.fround(scale * (integer - zero)); // rounded numbers are float32

/** What rounding does to a row: its largest error, the sums of squares of weights and errors, the sum of its integers, how many are cut. */
function rounding(row, grid) {
  let largest = 0, signal = 0, noise = 0, integers = 0, cut = 0;
  for (const x of row) {
    const free = rint(x / grid.scale) + grid.zero, integer = clamp(free, grid.low, grid.high), error = x - back(integer, grid);
    if (free !== integer) cut += 1;
    integers += integer;
    largest = Math.max(largest, Math.abs(error));
    signal += x * x;
    noise += error * error;
  }
  return { largest, signal, noise, integers, cut };
}

const decibels = ({ signal, noise }) => (signal && noise ? 10 * Math.log10(signal / noise) : null); // none without an error

/** All numbers of a choice; `at` is the row that is drawn. */
function analyse(layer, choice, at) {
  const shared = choice.per === "tensor" && gridOf(layer.range, choice);
  const grids = layer.ranges.map((range) => shared || gridOf(range, choice));
  const rows = layer.rows.map((row, i) => rounding(row, grids[i]));
  const all = { largest: Math.max(...rows.map((row) => row.largest)) };
  for (const part of ["signal", "noise", "cut"]) all[part] = sum(rows.map((row) => row[part]));
  const numbers = layer.inputs * layer.all_outputs, scales = shared ? 1 : layer.all_outputs;
  const stored = { weights: numbers * choice.bits, scales: scales * SCALE_BITS, zeros: choice.symmetric ? 0 : scales * choice.bits };
  return { grid: grids[at], all, row: rows[at], stored, stored_bits: stored.weights + stored.scales + stored.zeros, float_bits: numbers * 32 };
}

/** Counts of numbers in equal bins of [-largest, largest]. */
function histogram(numbers, largest) {
  const counts = new Array(BINS).fill(0);
  for (const x of numbers) counts[clamp(Math.floor((x / largest + 1) * (BINS / 2)), 0, BINS - 1)] += 1;
  return counts;
}

/** The recorded counts of right answers at the clipping nearest to the one chosen; the larger of two as near. */
function recordedAt(record, { bits, symmetric, per, clip }) {
  const nearest = record.clips.reduce((best, one) => {
    const nearer = Math.abs(one - clip) - Math.abs(best - clip);
    return nearer < 0 || (nearer === 0 && one > best) ? one : best;
  });
  const of = (scope) => record.right[scope]?.map((by) => by[Number(symmetric)][PER.indexOf(per)][record.clips.indexOf(nearest)]);
  return { nearest, of, at: bits - LEAST_BITS };
}

function render({ model, el }) {
  const layers = new Map(model.get("layers").map((sent) => [sent.name, unpacked(sent)])), record = model.get("accuracies");
  const { root, id } = frame(el, "kd-bw", "Bit-width explorer");
  const controls = make("div", "kd-bw-controls", root), choices = make("div", "kd-bw-choices", controls);
  const menuBox = make("div", "", choices);
  const pick = menu(menuBox, `${id}-layer`, "Layer", [...layers.keys()].map((name) => [name, name]), (name) => choose(model, "layer", name));
  const schemes = radios(choices, "kd-sp-pick", `${id}-scheme`, "Grid", [true, false], (yes) => choose(model, "symmetric", yes),
    (label, yes) => make("span", "", label, { text: yes ? "symmetric" : "affine" }));
  const pers = radios(choices, "kd-sp-pick", `${id}-per`, "One grid for", ["channel", "tensor"], (per) => choose(model, "per", per),
    (label, per) => make("span", "", label, { text: per === "channel" ? "each output (per channel)" : "the layer (per tensor)" }));
  const sliders = make("div", "kd-bw-sliders", controls);
  const at = (value, low, high) => (value - low) / (high - low);
  const showBits = slider(sliders, `${id}-bits`, "Bits", { min: LEAST_BITS, max: MOST_BITS, step: 1 },
    [2, 4, 8, 16].map((b) => [b, at(b, LEAST_BITS, MOST_BITS)]), (bits) => choose(model, "bits", bits));
  const showClip = slider(sliders, `${id}-clip`, "Range kept", { min: LEAST_CLIP, max: 100, step: 1 },
    [20, 40, 60, 80, 100].map((c) => [c, at(c, LEAST_CLIP, 100)]), (clip) => choose(model, "clip", clip));
  const showOutput = slider(sliders, `${id}-output`, "Output drawn", { min: 0, max: 0, step: 1 }, [],
    (i) => choose(model, "output", layers.get(model.get("layer")).outputs[i]));
  const outputInput = sliders.lastChild.querySelector("input");

  const lines = says(root, record ? 3 : 2), charts = make("div", "kd-charts", root), left = make("section", "kd-panel", charts);
  const title = make("h4", "", left);
  legend(left, [["bw-step", "rounded weight"], ["bw-same", "no rounding"], ["bw-tick", "value of the grid"]]);
  const picture = draw("svg", "kd-sp-chart", left, { viewBox: `0 0 ${WIDE} 354`, role: "img" });
  const frameOf = ([top, bottom]) => draw("path", "kd-sp-grid", picture, { d: `M${MARGIN} ${bottom}H${WIDE - MARGIN}M${WIDE / 2} ${top}V${bottom}` });
  frameOf(STAIRS);
  frameOf(BARS);
  draw("path", "kd-bw-same", picture, { d: `M${MARGIN} ${STAIRS[1]}L${WIDE - MARGIN} ${STAIRS[0]}` });
  const [bars, mine] = ["all", "mine"].map((kind) => draw("path", `kd-bw-${kind}`, picture));
  const ends = draw("path", "kd-sp-rule", picture), step = draw("path", "kd-bw-step", picture), ticks = draw("path", "kd-bw-tick", picture);
  const scale = ["start", "middle", "end"].map((anchor, i) => draw("text", "", picture,
    { x: [MARGIN, WIDE / 2, WIDE - MARGIN][i], y: BARS[1] + 15, "text-anchor": anchor }));
  draw("text", "", picture, { x: WIDE / 2, y: BARS[1] + 32, "text-anchor": "middle", text: "weight" });
  const keys = make("div", "kd-legend", left), [allKey, mineKey] = ["all", "mine"].map((kind) => {
    const entry = make("span", "", keys);
    make("i", `kd-key kd-bw-${kind}`, entry);
    return make("span", "", entry);
  });

  const right = make("section", "kd-panel", charts);
  const table = make("table", "kd-bw-numbers", right), [head, errorRow, noiseRow, cutRow, byteRow] = ["", "largest error", "SQNR", "cut to the grid’s ends", "bytes"].map((text) => {
    const row = make("tr", "", table);
    make(text ? "th" : "td", "", row, text ? { text, scope: "row" } : {});
    return [0, 1].map(() => make(text ? "td" : "th", "", row));
  });
  byteRow[1].remove();
  byteRow[0].setAttribute("colspan", 2);
  const note = make("p", "kd-note", right);
  const recorded = record && curvesOf(right, record);
  const X = (x, largest) => WIDE / 2 + (x / largest) * (WIDE / 2 - MARGIN);
  const Y = (y, largest) => (STAIRS[0] + STAIRS[1]) / 2 - (y / largest) * ((STAIRS[1] - STAIRS[0]) / 2);

  function drawStairs(grid, largest) {
    const first = MARGIN, columns = 2 * (WIDE - 2 * MARGIN);
    let path = "", before = null;
    for (let i = 0; i <= columns; i++) {
      const x = first + i / 2, y = Y(back(onto((x - WIDE / 2) / (WIDE / 2 - MARGIN) * largest, grid), grid), largest).toFixed(1);
      if (y !== before) path += before === null ? `M${x} ${y}` : `H${x}V${y}`;
      before = y;
    }
    step.setAttribute("d", `${path}H${WIDE - MARGIN}`);
    const [from, to] = [grid.low, grid.high].map((q) => X(back(q, grid), largest)), apart = (to - from) / (grid.high - grid.low);
    const close = apart < 2.5; // ticks would touch: a band stands for them
    let marks = close ? `M${from.toFixed(1)} ${TICKS[0] + TICKS[1] / 2}H${to.toFixed(1)}` : "";
    for (let q = grid.low; !close && q <= grid.high; q++) marks += `M${X(back(q, grid), largest).toFixed(1)} ${TICKS[0]}v${TICKS[1]}`;
    ticks.setAttribute("d", marks);
    ticks.classList.toggle("kd-bw-close", close);
    ends.setAttribute("d", `M${from.toFixed(1)} ${STAIRS[0]}V${BARS[1]}M${to.toFixed(1)} ${STAIRS[0]}V${BARS[1]}`);
  }

  function drawBars(element, counts) {
    const most = Math.max(...counts), wide = (WIDE - 2 * MARGIN) / BINS, high = BARS[1] - BARS[0];
    const outline = counts.map((n, i) => `V${(BARS[1] - (high * n) / most).toFixed(1)}H${(MARGIN + (i + 1) * wide).toFixed(2)}`);
    element.setAttribute("d", `M${MARGIN} ${BARS[1]}${outline.join("")}V${BARS[1]}z`);
  }

  function redraw() {
    const choice = Object.fromEntries(["bits", "symmetric", "per", "clip"].map((trait) => [trait, model.get(trait)]));
    const { bits, symmetric, per, clip } = choice, layer = layers.get(model.get("layer")), wanted = model.get("output");
    const far = layer.outputs.map((one) => Math.abs(one - wanted)), i = far.indexOf(Math.min(...far)), output = layer.outputs[i];
    const n = analyse(layer, choice, i), kept = `${Number(clip.toFixed(1))}%`, sampled = layer.outputs.length < layer.all_outputs;
    pick.value = layer.name;
    schemes[symmetric ? 0 : 1].checked = true;
    pers[per === "channel" ? 0 : 1].checked = true;
    outputInput.max = layer.outputs.length - 1;
    showBits(bits, bits, `${bits} bits`);
    showClip(clip, kept, `${kept} of the range`);
    showOutput(i, output, `output ${output}`);

    const values = count(n.grid.high - n.grid.low + 1), owner = per === "channel" ? `output ${output}` : layer.name;
    title.textContent = `Grid of ${owner}: ${values} values, scale ${n.grid.scale.toPrecision(3)}${symmetric ? "" : `, zero point ${String(n.grid.zero).replace("-", "−")}`}`;
    drawStairs(n.grid, layer.largest);
    drawBars(bars, layer.bars);
    drawBars(mine, histogram(layer.rows[i], layer.largest));
    const end = layer.largest.toPrecision(2);
    [`−${end}`, "0", end].forEach((text, k) => { scale[k].textContent = text; });
    allKey.textContent = `weights of ${layer.name}`;
    mineKey.textContent = `of output ${output} alone`;
    picture.setAttribute("aria-label", `Weights of ${layer.name} from −${end} to ${end}, rounded to the ${values} values of the grid of ${owner}, `
      + `from ${back(n.grid.low, n.grid).toPrecision(3)} to ${back(n.grid.high, n.grid).toPrecision(3)}.`);

    const told = [n.all, n.row].map((part) => {
      const dB = decibels(part);
      return { largest: part.largest.toPrecision(3), noise: dB !== null ? `${dB.toFixed(1)} dB` : part.signal ? "no error" : "all 0", cut: count(part.cut) };
    });
    [layer.name, `output ${output}`].forEach((text, k) => {
      head[k].textContent = text;
      errorRow[k].textContent = told[k].largest;
      noiseRow[k].textContent = told[k].noise;
      cutRow[k].textContent = told[k].cut;
    });
    const bytes = (stored) => count(Math.ceil(stored / 8)), { weights, scales, zeros } = n.stored;
    const used = bytes(n.stored_bits), smaller = times(n.float_bits / n.stored_bits);
    byteRow[0].textContent = `${used} (float32: ${bytes(n.float_bits)})`;
    note.textContent = `Bytes: ${bytes(weights)} of weights, ${bytes(scales)} of scales (32 bits each)${symmetric ? "" : `, ${bytes(zeros)} of zero points`}.`
      + (sampled ? ` The page has ${layer.outputs.length} of ${layer.all_outputs} outputs of ${layer.name}: its errors are theirs, grid and bytes are the whole layer’s.` : "");
    const kind = symmetric ? "symmetric" : "affine", each = per === "channel" ? "a grid for each output" : "one grid for the layer";
    lines[0].textContent = `${layer.name} at ${bits} bits, ${kind}, ${each}, ${kept} of the range: largest error ${told[0].largest}, SQNR ${told[0].noise}.`;
    lines[1].textContent = `It takes ${used} bytes, ${smaller} times fewer than float32.`;
    if (recorded) lines[2].textContent = recorded(layer.name, choice);
    const found = record && recordedAt(record, choice);
    root.dataset.numbers = JSON.stringify({ // full precision, for tests and for the curious
      layer: layer.name, ...choice, output, scale: n.grid.scale, zero_point: n.grid.zero, largest_error: n.all.largest, sqnr: decibels(n.all),
      cut: n.all.cut, output_largest_error: n.row.largest, output_sqnr: decibels(n.row), output_sum: n.row.integers, stored_bits: n.stored_bits,
      ...(found && { recorded_clip: found.nearest, right: [ALL_LAYERS, layer.name].map((scope) => found.of(scope)?.[found.at] ?? null) }),
    });
  }

  redraw();
  return listen(model, Object.fromEntries(["bits", "layer", "symmetric", "per", "clip", "output"].map((trait) => [trait, redraw])));
}

/** The recorded accuracies over the bits; returns what shows those of another choice, and says them. */
function curvesOf(parent, record) {
  const box = make("section", "kd-bw-accuracy", parent), { left, right, top, bottom } = CURVES, share = (n) => n / record.images;
  // Equal steps upwards divide the errors by equal factors: so 97% and 98% are told apart, and 30% has a place.
  const best = Math.max(record.unrounded, ...Object.values(record.right).map((counts) => Math.max(...counts.flat(3))));
  const nines = [0.9, 0.99].find((p) => p >= share(best)) ?? 0.999, height = (p) => Math.log(1 - Math.min(p, nines)) / Math.log(1 - nines);
  const xOf = (bits) => left + ((bits - LEAST_BITS) / (MOST_BITS - LEAST_BITS)) * (right - left), yOf = (p) => bottom - height(p) * (bottom - top);
  const title = make("h4", "", box), keys = curveLegend(box, [[0, "all layers so"], [1, ""]]), alone = keys.lastChild.lastChild;
  const chart = draw("svg", "kd-sp-chart", box, { viewBox: `0 0 ${CURVES_WIDE} 186`, role: "img" });
  for (const p of [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999].filter((p) => p <= nines)) {
    draw("path", "kd-sp-grid", chart, { d: `M${left} ${yOf(p)}H${right}` });
    draw("text", "", chart, { x: left - 6, y: yOf(p) + 4, "text-anchor": "end", text: `${Number((100 * p).toFixed(2))}%` });
  }
  for (let bits = LEAST_BITS; bits <= MOST_BITS; bits += 2) draw("text", "", chart, { x: xOf(bits), y: bottom + 16, "text-anchor": "middle", text: bits });
  draw("text", "", chart, { x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle", text: "bits" });
  draw("path", "kd-bw-same", chart, { d: `M${left} ${yOf(share(record.unrounded))}H${right}` });
  const rule = draw("path", "kd-sp-rule", chart);
  const curves = [0, 1].map((k) => { // made once, and only moved later
    const group = draw("g", "", chart), line = draw("path", `kd-sp-line kd-sp-curve${k}`, group);
    return { group, line, marks: Array.from({ length: MOST_BITS - LEAST_BITS + 1 }, () => mark(group, k, 0, 0, 2)) };
  });
  const rings = [0, 1].map(() => draw("circle", "kd-sp-ring", chart, { r: 5 }));
  make("p", "kd-note", box, { text: "The axis is stretched towards 100%. The dashed line is the network in float32." });
  const words = (n) => `${((100 * n) / record.images).toFixed(1)}%`;
  let drawn = "";

  return (layer, choice) => {
    const { nearest, of, at } = recordedAt(record, choice), counts = [of(ALL_LAYERS), of(layer)], x = xOf(choice.bits);
    const now = `${layer} ${choice.symmetric} ${choice.per} ${nearest}`;
    if (now !== drawn) {
      counts.forEach((row, k) => {
        const { group, line, marks } = curves[k], points = row?.map((n, b) => [xOf(LEAST_BITS + b), yOf(share(n))].map((at) => at.toFixed(1)));
        group.setAttribute("visibility", row ? "visible" : "hidden");
        if (!row) return;
        line.setAttribute("d", `M${points.map((point) => point.join(" ")).join("L")}`);
        marks.forEach((one, b) => one.setAttribute("transform", `translate(${points[b].join(" ")})`));
      });
    }
    drawn = now;
    rule.setAttribute("d", `M${x} ${top}V${bottom}`);
    rings.forEach((ring, k) => {
      ring.setAttribute("cx", x);
      if (counts[k]) ring.setAttribute("cy", yOf(share(counts[k][at])));
      ring.setAttribute("visibility", counts[k] ? "visible" : "hidden");
    });
    title.textContent = `Accuracy, recorded at ${nearest}% of the range`;
    alone.textContent = `${layer} alone so`;
    const [all, one] = counts.map((row) => (row ? words(row[at]) : "not recorded"));
    const where = nearest === choice.clip ? "All" : `At ${nearest}%, the nearest recorded: all`, images = `${count(record.images)} ${record.split} images`;
    const told = `${where} layers so: ${all} of ${images}; ${layer} alone so: ${one}; float32: ${words(record.unrounded)}.`;
    chart.setAttribute("aria-label", `Accuracy by bits, at ${choice.bits} bits. ${told}`);
    return told;
  };
}

export default { render };
