// The sparsity curves' page side: it only looks up recorded numbers and draws them, so it lives without a kernel.

const share = (accuracy) => `${(100 * accuracy).toFixed(1)}%`;

function render({ model, el }) {
  const [sparsities, scopes, curves, formats] = ["sparsities", "scopes", "curves", "formats"].map((trait) => model.get(trait));
  const accuracy = model.get("accuracy"), sizes = model.get("sizes"); // [scope][curve or format][point]
  const { root, id } = frame(el, "kd-sc", "Sparsity curves");
  const { show, inputs } = sparsityControls(root, id, model, { max: sparsities.length - 1 }, (selected) => choose(model, "selected", selected),
    scopes.map((scope) => [scope, scope]));
  const lines = says(root, 2), charts = make("div", "kd-charts", root), left = make("section", "kd-panel", charts);
  make("h4", "", left, { text: "Accuracy" });
  const names = curveLegend(left, curves.map((name, i) => [i, name]));
  if (scopes.length > 1) make("span", "kd-sc-quiet", names, { text: scopes.length > 2 ? "(pale: the other scopes)" : "(pale: the other scope)" });
  const { chart, xOf, yOf } = accuracies(left, sparsities), rule = draw("path", "kd-sp-rule", chart);
  const groups = accuracy.map((rows) => {
    const group = draw("g", "kd-sc-scope", chart);
    rows.forEach((values, i) => curve(draw("g", "", group), i, values.map((value, k) => [xOf(sparsities[k]), yOf(value)])));
    return group;
  });
  const rings = curves.map(() => draw("circle", "kd-sp-ring", chart, { r: 6 }));
  const right = make("section", "kd-panel", charts);
  make("h4", "", right, { text: "Bytes of all weights, by format" });
  const showBytes = byteBars(right, formats, Math.max(...sizes.flat(2))); // one axis for all points

  function redraw() {
    const selected = model.get("selected"), scope = model.get("scope"), at = scopes.indexOf(scope), sparsity = sparsities[selected];
    const shares = accuracy[at].map((values) => values[selected]), used = sizes[at].map((values) => values[selected]);
    const shown = `${Number(sparsity.toFixed(2))}%`;
    show(selected, shown, `sparsity ${shown}`);
    inputs[at].checked = true;

    rule.setAttribute("d", `M${xOf(sparsity)} ${TOP}V${yOf(0)}`);
    groups.forEach((group, i) => group.classList.toggle("kd-sc-pale", i !== at));
    chart.append(groups[at], ...rings); // what is looked at lies on top
    rings.forEach((ring, i) => {
      ring.setAttribute("cx", xOf(sparsity));
      ring.setAttribute("cy", yOf(shares[i]));
    });
    const told = curves.map((name, i) => `${share(shares[i])} ${name}`).join(", ");
    lines[0].textContent = `At ${shown} sparsity, ${scope}: accuracy ${told}.`;
    const [smallest, words] = showBytes(used, `at ${shown} sparsity, ${scope}`);
    lines[1].textContent = words;
    const ends = curves.map((name, i) => `${name} from ${share(accuracy[at][i][0])} to ${share(accuracy[at][i].at(-1))}`);
    chart.setAttribute("aria-label", `Accuracy, ${scope}, at ${shown} sparsity: ${told}. From ${sparsities[0]}% to ${sparsities.at(-1)}% sparsity: ${ends.join(", ")}.`);
    root.dataset.numbers = JSON.stringify({ // for tests and for the curious
      sparsity, scope, accuracy: Object.fromEntries(curves.map((name, i) => [name, shares[i]])),
      sizes: Object.fromEntries(formats.map((name, i) => [name, used[i]])), smallest: formats[smallest],
    });
  }

  redraw();
  return listen(model, { selected: redraw, scope: redraw });
}

export default { render };
