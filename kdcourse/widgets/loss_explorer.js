// The loss explorer's page side: all of its mathematics, in float64, so that it lives without a kernel.
// Names as in the course: v are the teacher's logits, z the student's, T the temperature; alpha weighs the teacher's term.

const SMOOTHING = 0.1, MSE_WEIGHT = 0.5, TARGET_WEIGHT = 1, NON_TARGET_WEIGHT = 8;

const mean = (values) => sum(values) / values.length;
const largestOf = (gradient) => Math.max(...gradient.map(Math.abs));
const value = (x) => Math.abs(x).toFixed(4);

// The soft terms: each returns its value for one example and its gradient on the student's logits z.

function softCrossEntropy({ teacher: v, student: z }, T) {
  const p = softmax(v, T), logQ = logSoftmax(z, T);
  return { value: -(T ** 2) * sum(p.map((x, i) => x * logQ[i])), gradient: logQ.map((l, i) => T * (Math.exp(l) - p[i])) };
}

function klDivergence(example, T) {
  const value = T ** 2 * kl(logSoftmax(example.teacher, T), logSoftmax(example.student, T));
  return { value, gradient: softCrossEntropy(example, T).gradient }; // they differ by the teacher's entropy, which z does not move
}

function mseLogits({ teacher: v, student: z }) {
  const difference = z.map((x, i) => x - v[i]);
  return { value: mean(difference.map((d) => d * d)), gradient: difference.map((d) => (2 * d) / z.length) };
}

function mseProbabilities({ teacher: v, student: z }, T) {
  const p = softmax(v, T), q = softmax(z, T), difference = q.map((x, i) => x - p[i]);
  const middle = sum(q.map((x, i) => x * difference[i])); // dq_i/dz_j = q_i ((i = j) - q_j) / T
  return {
    value: T ** 2 * mean(difference.map((d) => d * d)),
    gradient: q.map((x, j) => (2 * T * x * (difference[j] - middle)) / z.length), // T^2 / T
  };
}

/** Decoupled distillation: the label's class against the rest, and the rest among themselves. */
function decoupled({ teacher: v, student: z, label }, T) {
  const parts = [v, z].map((logits) => {
    const rest = logits.filter((_, i) => i !== label), all = logSumExp(logits.map((x) => x / T));
    return { split: [logits[label] / T - all, logSumExp(rest.map((x) => x / T)) - all], among: logSoftmax(rest, T) };
  });
  const [{ split: logB, among: logR }, { split: logS, among: logQ }] = parts; // the teacher's parts, then the student's
  const shift = Math.exp(logS[0]) - Math.exp(logB[0]);
  const gradient = logQ.map((l, i) => {
    const q = Math.exp(l);
    return T * (-TARGET_WEIGHT * shift * q + NON_TARGET_WEIGHT * (q - Math.exp(logR[i])));
  });
  gradient.splice(label, 0, T * TARGET_WEIGHT * shift); // T^2 / T
  return { value: T ** 2 * (TARGET_WEIGHT * kl(logB, logS) + NON_TARGET_WEIGHT * kl(logR, logQ)), gradient };
}

function evenAnswer({ student: z }) {
  const logQ = logSoftmax(z, 1);
  return { value: -mean(logQ), gradient: logQ.map((l) => Math.exp(l) - 1 / z.length) };
}

const byAlpha = (alpha) => [1 - alpha, alpha];
const TEACHERS = "teacher’s term";

/** The losses by the names of kdcourse.losses: weights are those of the label's term and of the soft term. */
const LOSSES = {
  cross_entropy: {
    name: "Cross-entropy with the label", formula: "−log softmax(z) at the label", note: "Ignores the teacher, T and alpha.",
    weights: () => [1, 0], term: TEACHERS, soft: null,
  },
  soft_cross_entropy: {
    name: "Soft cross-entropy", formula: "T² · CE(softmax(v/T), softmax(z/T))",
    note: "Its gradient is that of KL: they differ by the teacher’s entropy.", weights: byAlpha, term: TEACHERS, soft: softCrossEntropy,
  },
  kl_divergence: {
    name: "KL divergence", formula: "T² · KL(softmax(v/T) ‖ softmax(z/T))",
    note: "0 when the student answers like the teacher.", weights: byAlpha, term: TEACHERS, soft: klDivergence,
  },
  mse_logits: {
    name: "MSE on logits", formula: "mean of (z − v)²", note: "Its teacher’s term ignores T.", weights: byAlpha, term: TEACHERS, soft: mseLogits,
  },
  mse_probabilities: {
    name: "MSE on probabilities", formula: "T² · mean of (softmax(z/T) − softmax(v/T))²",
    note: "Nearly flat where the student is sure and wrong.", weights: byAlpha, term: TEACHERS, soft: mseProbabilities,
  },
  cross_entropy_with_mse: {
    name: `Cross-entropy + ${MSE_WEIGHT} MSE`, formula: `CE + ${MSE_WEIGHT} · mean of (softmax(z) − softmax(v))²`,
    note: "Ignores T and alpha: the weights are fixed.", weights: () => [1, MSE_WEIGHT], term: TEACHERS,
    soft: (example) => mseProbabilities(example, 1),
  },
  smoothed_cross_entropy: {
    name: `Label smoothing, ${SMOOTHING}`, formula: `CE with ${1 - SMOOTHING} · label + ${SMOOTHING} · even answer`,
    note: "Ignores the teacher, T and alpha.", weights: () => [1 - SMOOTHING, SMOOTHING], term: "even answer’s term", soft: evenAnswer,
  },
  decoupled: {
    name: `Decoupled, ${TARGET_WEIGHT} and ${NON_TARGET_WEIGHT}`,
    formula: `T² · (${TARGET_WEIGHT} · KL of label or not + ${NON_TARGET_WEIGHT} · KL of the rest)`,
    note: "The other classes count even when the teacher is sure.", weights: byAlpha, term: TEACHERS, soft: decoupled,
  },
};

/** The value of a loss, its terms, and the gradient of its total on the student's logits. */
function analyse(example, loss, T, alpha) {
  const { weights, soft: term } = LOSSES[loss], [hardWeight, softWeight] = weights(alpha), logQ = logSoftmax(example.student, 1);
  const hard = -logQ[example.label], soft = term?.(example, T) ?? { value: 0, gradient: logQ.map(() => 0) };
  return {
    loss, hard_weight: hardWeight, hard, soft_weight: softWeight, soft: soft.value,
    total: hardWeight * hard + softWeight * soft.value,
    gradient: logQ.map((l, i) => hardWeight * (Math.exp(l) - (i === example.label ? 1 : 0)) + softWeight * soft.gradient[i]),
  };
}

/** The largest gradient of a loss at any T and alpha: the gradient is linear in alpha, so its ends are enough. */
function largestGradient(example, loss) {
  let largest = 0;
  for (let position = FIRST; position <= LAST; position++) {
    for (const alpha of [0, 1]) largest = Math.max(largest, largestOf(analyse(example, loss, temperatureAt(position), alpha).gradient));
  }
  return largest;
}

function render({ model, el }) {
  const examples = model.get("examples"), names = model.get("class_names"), sides = ["left", "right"];
  const { root, id } = frame(el, "kd-le", "Loss explorer", names);
  const { top, show } = digits(root, id, model, (name) => `label: ${name}`);
  const controls = make("div", "kd-le-controls", top), showT = temperatureSlider(controls, id, model);
  const showAlpha = slider(controls, `${id}-alpha`, "alpha, the teacher’s weight", { min: 0, max: 1, step: 0.01 },
    [0, 0.25, 0.5, 0.75, 1].map((tick) => [tick, tick]), (weight) => choose(model, "alpha", weight));
  const answers = make("section", "kd-le-answers", top), answersTitle = make("h4", "", answers);
  legend(answers, [["teacher", "teacher"], ["student", "student"]]);
  const probabilities = chart(answers, "kd-le-probabilities", names, ["teacher", "student"]);

  const lines = says(root, 3);
  legend(root, [
    ["raises", "negative gradient: a training step raises this logit"],
    ["lowers", "positive: it lowers this logit"],
    ["label", "the label’s class"],
  ]);
  const charts = make("div", "kd-charts", root);
  const panels = sides.map((side) => {
    const box = make("section", "kd-panel", charts, { "data-side": side });
    const select = menu(box, `${id}-${side}`, `Loss on the ${side}`, Object.entries(LOSSES).map(([loss, { name }]) => [loss, name]),
      (loss) => choose(model, side, loss));
    const formula = make("p", "kd-le-formula", box), table = make("table", "kd-numbers", box);
    const [hard, soft, total] = ["label’s term", "", "total"].map((text) => {
      const row = make("tr", "", table);
      return { head: make("th", "", row, { scope: "row", text }), product: make("td", "", row), result: make("td", "", row) };
    });
    const note = make("p", "kd-note", box);
    make("h4", "", box, { text: "Gradient of the total, by class" });
    return { select, formula, hard, soft, total, note, ...chart(box, "kd-gradients", names, ["raises"]), showLimit: gradientAxis(box) };
  });

  const scaling = make("div", "kd-le-scaling", root), same = make("label", "", scaling);
  const sameScale = make("input", "", same, { type: "checkbox", ...KEYS });
  same.append("same scale on both sides");
  sameScale.addEventListener("change", () => choose(model, "same_scale", sameScale.checked));
  const scaleNote = make("span", "kd-note", scaling);
  make("p", "kd-note", root, {
    text: "total = (1 − alpha) · label’s term + alpha · teacher’s term, where the loss does not fix the weights itself. v are the teacher’s logits, z the student’s; "
      + "the label’s term is the cross-entropy of softmax(z) with the label. The gradient is that of the total on z, and a training step goes against it.",
  });

  let shared = 1; // the end of the axis that both sides share: it stays while T and alpha move, so that bars can be compared

  function drawExample() {
    show([probabilities, ...panels]);
    drawLosses();
  }

  function drawLosses() {
    sides.forEach((side, k) => {
      const loss = model.get(side), { select, formula, soft, note } = panels[k];
      select.value = loss;
      formula.textContent = LOSSES[loss].formula;
      soft.head.textContent = LOSSES[loss].term;
      note.textContent = LOSSES[loss].note;
    });
    shared = axisEnd(Math.max(...sides.map((side) => largestGradient(examples[model.get("selected")], model.get(side)))));
    draw();
  }

  function draw() {
    const T = model.get("temperature"), weight = model.get("alpha"), together = model.get("same_scale"), example = examples[model.get("selected")];
    showT(T);
    showAlpha(weight, weight.toFixed(2), `alpha ${weight.toFixed(2)}`);
    sameScale.checked = together;

    const both = [softmax(example.teacher, T), softmax(example.student, T)];
    answersTitle.textContent = `Their answers at T = ${formatT(T)}`;
    probabilities.rows.forEach(({ bars }, i) => bars.forEach((bar, k) => { bar.style.width = `${100 * both[k][i]}%`; }));
    const [mine, yours] = both.map((p) => `${percent(p[order(p)[0]])} to ${names[order(p)[0]]}`);
    probabilities.box.setAttribute("aria-label", `At temperature ${formatT(T)} the teacher gives ${mine}, the student ${yours}. The label is ${names[example.label]}.`);

    const shown = sides.map((side) => analyse(example, model.get(side), T, weight));
    const largest = shown.map(({ gradient }) => largestOf(gradient));
    const told = shown.map((n, k) => {
      const { hard, soft, total, box, rows, showLimit } = panels[k], { name, soft: hasSoft } = LOSSES[n.loss];
      hard.product.textContent = `${n.hard_weight.toFixed(2)} × ${value(n.hard)}`;
      hard.result.textContent = value(n.hard_weight * n.hard);
      soft.product.textContent = hasSoft ? `${n.soft_weight.toFixed(2)} × ${value(n.soft)}` : "none";
      soft.result.textContent = hasSoft ? value(n.soft_weight * n.soft) : "";
      total.result.textContent = value(n.total);

      const limit = together ? shared : axisEnd(largest[k]), digits = largest[k] < 0.1 ? 4 : 3;
      rows.forEach(({ bars: [bar], values: [number] }, i) => {
        drawGradient(bar, n.gradient[i], limit);
        bar.className = `kd-bar kd-${n.gradient[i] < 0 ? "raises" : "lowers"}`;
        number.textContent = signed(n.gradient[i], digits);
      });
      showLimit(limit);
      const ranked = order(n.gradient), moves = [["raises", ranked.at(-1), -1], ["lowers", ranked[0], 1]]
        .filter(([, i, sign]) => sign * n.gradient[i] > 1e-6) // MSE on logits may push all of them one way
        .map(([verb, i]) => `${verb} ${names[i]} most (${signed(n.gradient[i], digits)})`);
      const sentence = `${name}: ${value(n.total)}. A step ${moves.join(" and ") || "moves no logit"}.`;
      box.setAttribute("aria-label", sentence);
      return sentence;
    });
    [`At T = ${formatT(T)} and alpha = ${weight.toFixed(2)}:`, `Left, ${told[0]}`, `Right, ${told[1]}`].forEach((text, i) => {
      lines[i].textContent = text;
    });

    const longer = largest[0] >= largest[1] ? 0 : 1, ratio = largest[longer] / largest[1 - longer];
    scaleNote.textContent = !together ? "Each side fits its own longest bar: compare shapes, not lengths."
      : ratio < 5 || largest[1 - longer] < 1e-6 ? "The scale stays while T and alpha move."
      : `The longest bar on the ${sides[longer]} is ${Math.round(ratio)} times the longest on the ${sides[1 - longer]}: untick to see the short ones.`;
    root.dataset.numbers = JSON.stringify({ // full precision, for tests and for the curious
      temperature: T, alpha: weight, label: example.label, teacher: both[0], student: both[1], left: shown[0], right: shown[1],
    });
  }

  drawExample();
  return listen(model, { temperature: draw, alpha: draw, same_scale: draw, left: drawLosses, right: drawLosses, selected: drawExample });
}

export default { render };
