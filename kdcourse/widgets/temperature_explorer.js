// The temperature explorer's page side: all of its mathematics, in float64, so that it lives without a kernel.
// Names as in the course: v are the teacher's logits, z the student's, T the temperature. Information is in nats.

const T_MIN = 0.25, T_MAX = 20, STEPS = 16; // STEPS positions of the slider double the temperature
const FIRST = STEPS * Math.log2(T_MIN), LAST = Math.ceil(STEPS * Math.log2(T_MAX));
const TICKS = [0.25, 0.5, 1, 2, 4, 8, 20];

// Three digits, so that the temperature shown is the temperature used.
const temperatureAt = (position) => Math.min(T_MAX, Number((2 ** (position / STEPS)).toPrecision(3)));
const positionOf = (T) => (T >= T_MAX ? LAST : Math.round(STEPS * Math.log2(T)));

function logSoftmax(logits, T) {
  const largest = Math.max(...logits);
  const scaled = logits.map((x) => (x - largest) / T); // at most 0: exp never overflows
  const logSum = Math.log(scaled.reduce((sum, x) => sum + Math.exp(x), 0));
  return scaled.map((x) => x - logSum);
}
const sum = (values) => values.reduce((a, b) => a + b, 0);
const entropy = (logP) => -sum(logP.map((l) => Math.exp(l) * l));

/** Every number that the page shows about one example. Without a student, its fields are null. */
function analyse({ label, teacher: v, student: z }, T) {
  const logTeacher = logSoftmax(v, T);
  const teacher = logTeacher.map(Math.exp);
  const numbers = {
    temperature: T, label, teacher, teacher_entropy: entropy(logTeacher), hard_label_share: teacher[label],
    student: null, student_entropy: null, kl: null, soft_gradient: null, hard_gradient: null,
  };
  if (!z) return numbers;
  const logStudent = logSoftmax(z, T);
  const student = logStudent.map(Math.exp);
  return {
    ...numbers, student, student_entropy: entropy(logStudent),
    kl: sum(teacher.map((p, i) => p * (logTeacher[i] - logStudent[i]))),
    soft_gradient: student.map((p, i) => T * (p - teacher[i])), // T^2 * (p - q) / T
    hard_gradient: logSoftmax(z, 1).map((l, i) => Math.exp(l) - (i === label ? 1 : 0)),
  };
}

/** The end of the gradient axis: one for all temperatures of an example, so that bars can be compared while T moves. */
function gradientLimit(example) {
  let largest = 0;
  for (let position = FIRST; position <= LAST; position++) {
    const { soft_gradient, hard_gradient } = analyse(example, temperatureAt(position));
    for (const g of [...soft_gradient, ...hard_gradient]) largest = Math.max(largest, Math.abs(g));
  }
  return [0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50].find((limit) => limit >= largest) ?? largest;
}

const formatT = (T) => (Number.isInteger(T) ? T.toFixed(1) : String(Number(T.toPrecision(3))));
const percent = (p) => (p < 0.001 ? "<0.1%" : p > 0.9994 ? ">99.9%" : `${(100 * p).toFixed(1)}%`);
const signed = (g) => (g <= -0.005 ? "−" : g >= 0.005 ? "+" : "") + Math.abs(g).toFixed(2);
const order = (values) => values.map((_, i) => i).sort((a, b) => values[b] - values[a]);

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

function buildLegend(parent, entries) {
  const legend = make("div", "kd-te-legend", parent);
  for (const [kind, text] of entries) {
    const entry = make("span", "", legend);
    make("i", `kd-te-key kd-te-${kind}`, entry);
    entry.append(text);
  }
}

/** One chart: a row for each class, with a bar and a number for each of `kinds`. Bars are made once and only resized later. */
function buildChart(parent, className, names, kinds) {
  const chart = make("div", `kd-te-chart ${className}${kinds.length > 1 ? "" : " kd-te-alone"}`, parent, { role: "img" });
  const rows = names.map((name) => {
    const row = make("div", "kd-te-row", chart);
    make("span", "kd-te-name", row, { text: name });
    const track = make("span", "kd-te-track", row);
    const values = make("span", "kd-te-values", row);
    const bars = kinds.map((kind) => ({
      bar: make("i", `kd-te-bar kd-te-${kind}`, track),
      value: make("span", "", values),
    }));
    return { row, bars };
  });
  return { chart, rows };
}

let views = 0; // makes ids and radio groups unique when one page shows several explorers

function render({ model, el }) {
  const examples = model.get("examples"), names = model.get("class_names");
  const hasStudent = examples.some((example) => example.student);
  const id = `kd-te-${++views}-${Math.random().toString(36).slice(2, 8)}`;
  const root = make("div", "kd-te", el, {
    role: "group", "aria-label": "Temperature explorer",
    style: `--kd-name: calc(${Math.min(9, Math.max(...names.map((name) => name.length)))}ch + 10px)`,
  });

  // Pick a digit: radio buttons, so that arrow keys and screen readers know what to do. JupyterLab must leave those keys alone.
  const pick = make("fieldset", "kd-te-pick", root);
  make("legend", "", pick, { text: "Pick a digit" });
  const radios = examples.map((example, i) => {
    const label = make("label", "", pick);
    const radio = make("input", "", label, {
      type: "radio", name: `${id}-pick`, value: i, "data-lm-suppress-shortcuts": "true",
      "aria-label": `digit ${i + 1} of ${examples.length}, labelled ${names[example.label]}`,
    });
    make("img", "", label, { src: example.image, alt: "" });
    radio.addEventListener("change", () => choose("selected", i));
    return radio;
  });

  const top = make("div", "kd-te-top", root);
  const figure = make("figure", "", top);
  const picture = make("img", "", figure);
  const caption = make("figcaption", "", figure);

  const control = make("div", "kd-te-control", top);
  const heading = make("div", "kd-te-heading", control);
  make("label", "", heading, { for: `${id}-slider`, text: "Temperature T" });
  const output = make("output", "", heading, { for: `${id}-slider`, "aria-live": "off" }); // the slider already says its value
  const slider = make("input", "kd-te-slider", control, {
    type: "range", id: `${id}-slider`, min: FIRST, max: LAST, step: 1, "data-lm-suppress-shortcuts": "true",
  });
  slider.addEventListener("input", () => choose("temperature", temperatureAt(slider.valueAsNumber)));
  const ticks = make("div", "kd-te-ticks", control, { "aria-hidden": "true" });
  for (const T of TICKS) {
    make("span", "", ticks, { text: T, style: `--at: ${(positionOf(T) - FIRST) / (LAST - FIRST)}` });
  }

  const table = make("table", "kd-te-numbers", control);
  const head = make("tr", "", table);
  for (const text of ["", "teacher", ...(hasStudent ? ["student"] : [])]) make(text ? "th" : "td", "", head, { text });
  const line = (text, count) => {
    const row = make("tr", "", table);
    make("th", "", row, { text, scope: "row" });
    return Array.from({ length: count }, () => make("td", "", row));
  };
  const entropies = line(`Entropy in nats (0: certain, ${Math.log(names.length).toFixed(2)}: all equal)`, hasStudent ? 2 : 1);
  const shares = line("Hard label's share", hasStudent ? 2 : 1);
  const divergence = hasStudent ? line("KL(teacher ‖ student) in nats", 1)[0] : null;
  divergence?.setAttribute("colspan", 2);

  const charts = make("div", "kd-te-charts", root);
  const panel = (title, legend, className, kinds) => {
    const box = make("section", "kd-te-panel", charts);
    make("h4", "", box, { text: title });
    buildLegend(box, legend);
    return { box, ...buildChart(box, className, names, kinds) };
  };
  const answers = panel(
    hasStudent ? "What they answer" : "What the teacher answers",
    [["teacher", "teacher: soft label"], ...(hasStudent ? [["student", "student"]] : []), ["hard", "hard label"]],
    "kd-te-answers",
    hasStudent ? ["teacher", "student"] : ["teacher"],
  );
  for (const { row } of answers.rows) make("i", "kd-te-hard", row.querySelector(".kd-te-track"));
  const gradients = hasStudent && panel(
    "What each label would teach", [["teacher", "soft label, × T²"], ["hard", "hard label, T = 1"]], "kd-te-gradients", ["teacher", "hard"],
  );
  let axis = [];
  if (gradients) {
    const scale = make("div", "kd-te-axis", gradients.box, { "aria-hidden": "true" });
    axis = ["", "0", ""].map((text) => make("span", "", scale, { text }));
    for (const text of [
      "Gradient of the loss on the student's logits. A training step goes against it: a bar to the left raises that class, one to the right lowers it.",
      "Soft: T² (softmax(z/T) − softmax(v/T)) / T. Hard: softmax(z) − one-hot. z are the student's logits, v the teacher's.",
    ]) make("p", "kd-te-note", charts, { text });
  }
  const says = make("p", "kd-te-says", null);
  root.insertBefore(says, charts);

  let limit = 1;

  function drawExample() {
    const selected = model.get("selected"), example = examples[selected];
    radios[selected].checked = true;
    picture.src = example.image;
    picture.alt = `the chosen digit, labelled ${names[example.label]}`;
    caption.textContent = `hard label: ${names[example.label]}`;
    for (const { rows } of [answers, gradients].filter(Boolean)) {
      rows.forEach(({ row }, i) => row.classList.toggle("kd-te-labelled", i === example.label));
    }
    if (gradients) {
      limit = gradientLimit(example);
      axis[0].textContent = `−${limit} raises`;
      axis[2].textContent = `lowers +${limit}`;
    }
    draw();
  }

  function draw() {
    const T = model.get("temperature"), n = analyse(examples[model.get("selected")], T);
    slider.value = positionOf(T);
    output.textContent = formatT(T);
    slider.setAttribute("aria-valuetext", `temperature ${formatT(T)}`);
    const both = [n.teacher, n.student].filter(Boolean);
    answers.rows.forEach(({ bars }, i) => both.forEach((p, k) => {
      bars[k].bar.style.width = `${100 * p[i]}%`;
      bars[k].value.textContent = percent(p[i]);
    }));
    [n.teacher_entropy, n.student_entropy].slice(0, both.length).forEach((value, k) => {
      entropies[k].textContent = Math.abs(value).toFixed(3);
      shares[k].textContent = percent(both[k][n.label]);
    });
    const [first, second] = order(n.teacher);
    let sentence = `At temperature ${formatT(T)} the teacher gives ${percent(n.teacher[first])} to ${names[first]}, then ${percent(n.teacher[second])} to ${names[second]}`;
    if (gradients) {
      divergence.textContent = Math.abs(n.kl).toFixed(3);
      const best = order(n.student)[0];
      sentence += `; the student gives ${percent(n.student[best])} to ${names[best]}`;
      const told = [n.soft_gradient, n.hard_gradient].map((gradient, k) => {
        gradients.rows.forEach(({ bars }, i) => {
          const share = Math.min(1, Math.abs(gradient[i]) / limit) * 50; // per cent of the track; zero lies in its middle
          bars[k].bar.style.width = `${share}%`;
          bars[k].bar.style.left = `${gradient[i] < 0 ? 50 - share : 50}%`;
          bars[k].value.textContent = signed(gradient[i]);
        });
        const ranked = order(gradient), up = ranked.at(-1), down = ranked[0];
        return `The ${k ? "hard" : "soft"} label raises ${names[up]} most (gradient ${signed(gradient[up])}) and lowers ${names[down]} most (${signed(gradient[down])}).`;
      });
      gradients.chart.setAttribute("aria-label", told.join(" "));
    }
    says.textContent = `${sentence}.`;
    answers.chart.setAttribute("aria-label", `${sentence}. The hard label is ${names[n.label]}.`);
    root.dataset.numbers = JSON.stringify(n); // full precision, for tests and for the curious
  }

  // The model is the one truth: every view of it redraws on its events, wherever the change came from.
  function choose(trait, value) {
    model.set(trait, value);
    model.save_changes();
  }
  model.on("change:temperature", draw);
  model.on("change:selected", drawExample);
  drawExample();
  return () => {
    model.off("change:temperature", draw);
    model.off("change:selected", drawExample);
  };
}

export default { render };
