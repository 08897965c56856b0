// The sparsity explorer's page side: it draws the state that the kernel worked out last, and sends where the slider is.

const SCOPE_NAMES = { layer: "by layer", global: "global" }, CURVES = { layer: 1, global: 0 };

/** The outline of a histogram as a polygon, in per cent of its box. */
function outline(counts, most) {
  const steps = counts.flatMap((n, i) => [i, i + 1].map((x) => `${(100 * x) / counts.length}% ${100 - (100 * n) / most}%`));
  return `polygon(0% 100%, ${steps.join(", ")}, 100% 100%)`;
}

function render({ model, el }) {
  const layers = model.get("layers"), { root, id } = frame(el, "kd-se", "Sparsity explorer", layers, 14);
  const { controls, show, inputs } = sparsityControls(root, id, model, { max: 99 }, (sparsity) => choose(model, "sparsity", sparsity),
    Object.entries(SCOPE_NAMES));
  const layerBox = make("div", "", controls);
  const layer = menu(layerBox, `${id}-layer`, "Layer shown", layers.map((name) => [name, name]), (name) => choose(model, "layer", name));
  const lines = says(root, 2), charts = make("div", "kd-charts", root);
  const panel = () => {
    const box = make("section", "kd-panel", charts);
    return [box, make("h4", "", box)];
  };

  const [weights, weightsTitle] = panel();
  legend(weights, [["se-kept", "kept"], ["se-cut", "cut"]]);
  const histogram = make("div", "kd-se-box", weights, { role: "img" });
  const [everything, left] = ["se-cut", "se-kept"].map((kind) => make("i", `kd-${kind}`, histogram));
  const edges = [-1, 1].map(() => make("i", "kd-se-edge", histogram));
  const scale = make("div", "kd-se-scale", weights, { "aria-hidden": "true" });
  const [low, , high] = ["", "weight", ""].map((text) => make("span", "", scale, { text }));

  const [maskBox, maskTitle] = panel();
  const mask = make("img", "kd-se-box", maskBox), maskShows = make("p", "kd-note", maskBox);

  const [accuracyBox, accuracyTitle] = panel();
  curveLegend(accuracyBox, Object.entries(CURVES).map(([scope, i]) => [i, SCOPE_NAMES[scope]]));
  const { chart: drawing, xOf, yOf } = accuracies(accuracyBox, [0, 25, 50, 75, 99]);
  const groups = Object.keys(CURVES).map(() => draw("g", "", drawing)), ring = draw("circle", "kd-sp-ring", drawing, { r: 6 });

  const [keptBox, keptTitle] = panel();
  keptTitle.textContent = "Weights kept";
  const kept = chart(keptBox, "kd-se-shares", layers, ["size"]);
  const [bytesBox, bytesTitle] = panel();
  bytesTitle.textContent = "Bytes of all weights, by format";
  const formats = model.get("formats"), showBytes = byteBars(bytesBox, formats, model.get("shown").most_bytes);
  make("p", "kd-note kd-se-waits", root, { text: "Without a running kernel the picture does not follow the slider." });

  function follow() { // the controls are ahead of the picture until the kernel has answered
    const at = ["sparsity", "scope", "layer"].map((trait) => model.get(trait)), [sparsity, scope, name] = at, shown = model.get("shown");
    show(sparsity, `${sparsity}%`, `sparsity ${sparsity}%`);
    inputs[Object.keys(SCOPE_NAMES).indexOf(scope)].checked = true;
    layer.value = name;
    root.classList.toggle("kd-se-waiting", at.join() !== [shown.sparsity, shown.scope, shown.layer].join());
  }

  function redraw() {
    follow();
    const n = model.get("shown"), place = `at ${n.sparsity}% sparsity, ${SCOPE_NAMES[n.scope]}`, [all, some] = n.histogram, most = Math.max(...all);
    const remain = `${count(n.weights - n.cut)} of ${count(n.weights)} weights kept`;
    weightsTitle.textContent = `${n.layer}: ${n.cut ? `magnitudes below ${n.threshold.toPrecision(3)} are cut` : "nothing is cut"}`;
    everything.style.clipPath = outline(all, most);
    left.style.clipPath = outline(some, most);
    edges.forEach((edge, k) => {
      edge.hidden = !n.cut;
      edge.style.left = `${50 + (k ? 50 : -50) * (n.threshold / n.largest)}%`;
    });
    low.textContent = `−${n.largest.toPrecision(2)}`;
    high.textContent = n.largest.toPrecision(2);
    histogram.setAttribute("aria-label", `Histogram of the weights of ${n.layer}, from −${n.largest.toPrecision(2)} to ${n.largest.toPrecision(2)}: ${remain}.`);
    maskTitle.textContent = `Mask of ${n.layer}: ${remain} (black)`;
    mask.src = n.mask;
    mask.alt = maskTitle.textContent;
    maskShows.textContent = n.mask_shows;

    accuracyTitle.textContent = `Accuracy ${(100 * n.accuracy).toFixed(1)}%, as far as visited`;
    Object.entries(CURVES).forEach(([scope, i], k) => curve(groups[k], i, n.seen[scope].map(([x, y]) => [xOf(x), yOf(y)])));
    ring.setAttribute("cx", xOf(n.sparsity));
    ring.setAttribute("cy", yOf(n.accuracy));
    const shares = n.kept.map((share) => `${(100 * share).toFixed(1)}%`), words = layers.map((name, i) => `${name} ${shares[i]}`).join(", ");
    kept.rows.forEach(({ row, bars, values }, i) => {
      bars[0].style.width = `${100 * n.kept[i]}%`;
      values[0].textContent = shares[i];
      row.classList.toggle("kd-se-shown", layers[i] === n.layer);
    });
    kept.box.setAttribute("aria-label", `Weights kept ${place}: ${words}.`);
    const told = `Accuracy ${(100 * n.accuracy).toFixed(1)}% on ${count(n.images)} images ${place}.`;
    drawing.setAttribute("aria-label", told);
    lines[0].textContent = told;
    lines[1].textContent = showBytes(n.sizes, place)[1];
    root.dataset.numbers = JSON.stringify({ ...n, mask: undefined, sizes: Object.fromEntries(formats.map((name, i) => [name, n.sizes[i]])) });
  }

  redraw();
  return listen(model, { shown: redraw, sparsity: follow, scope: follow, layer: follow });
}

export default { render };
