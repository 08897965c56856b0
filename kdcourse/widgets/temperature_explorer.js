// The temperature explorer's page side: all of its mathematics, in float64, so that it lives without a kernel.
// Names as in the course: v are the teacher's logits, z the student's, T the temperature.

/** Every number that the page shows about one example. Without a student, its fields are null. */
function analyse({ label, teacher: v, student: z }, T) {
  const logTeacher = logSoftmax(v, T), teacher = logTeacher.map(Math.exp);
  const numbers = {
    temperature: T, label, teacher, teacher_entropy: entropy(logTeacher), hard_label_share: teacher[label],
    student: null, student_entropy: null, kl: null, soft_gradient: null, hard_gradient: null,
  };
  if (!z) return numbers;
  const logStudent = logSoftmax(z, T), student = logStudent.map(Math.exp);
  return {
    ...numbers, student, student_entropy: entropy(logStudent), kl: kl(logTeacher, logStudent),
    soft_gradient: student.map((p, i) => T * (p - teacher[i])), // T^2 * (p - q) / T
    hard_gradient: softmax(z, 1).map((p, i) => p - (i === label ? 1 : 0)),
  };
}

/** The end of the gradient axis: one for all temperatures of an example, so that bars can be compared while T moves. */
function gradientLimit(example) {
  let largest = 0;
  for (let position = FIRST; position <= LAST; position++) {
    const { soft_gradient, hard_gradient } = analyse(example, temperatureAt(position));
    for (const g of [...soft_gradient, ...hard_gradient]) largest = Math.max(largest, Math.abs(g));
  }
  return axisEnd(largest);
}

function render({ model, el }) {
  const examples = model.get("examples"), names = model.get("class_names"), hasStudent = examples.some((example) => example.student);
  const { root, id } = frame(el, "kd-te", "Temperature explorer", names);
  const { top, show } = digits(root, id, model, (name) => `hard label: ${name}`);
  const control = make("div", "kd-te-control", top), showT = temperatureSlider(control, id, model);

  const table = make("table", "kd-numbers", control), head = make("tr", "", table);
  for (const text of ["", "teacher", ...(hasStudent ? ["student"] : [])]) make(text ? "th" : "td", "", head, { text });
  const line = (text, cells) => {
    const row = make("tr", "", table);
    make("th", "", row, { text, scope: "row" });
    return Array.from({ length: cells }, () => make("td", "", row));
  };
  const entropies = line(`Entropy in nats (0: certain, ${Math.log(names.length).toFixed(2)}: all equal)`, hasStudent ? 2 : 1);
  const shares = line("Hard label's share", hasStudent ? 2 : 1);
  const divergence = hasStudent ? line("KL(teacher ‖ student) in nats", 1)[0] : null;
  divergence?.setAttribute("colspan", 2);

  const told = make("p", "kd-says", root), charts = make("div", "kd-charts", root);
  const panel = (title, entries, className, kinds) => {
    const box = make("section", "kd-panel", charts);
    make("h4", "", box, { text: title });
    legend(box, entries);
    return { panel: box, ...chart(box, className, names, kinds) };
  };
  const answers = panel(
    hasStudent ? "What they answer" : "What the teacher answers",
    [["teacher", "teacher: soft label"], ...(hasStudent ? [["student", "student"]] : []), ["hard", "hard label"]],
    hasStudent ? "kd-te-answers" : "kd-te-answers kd-te-alone", hasStudent ? ["teacher", "student"] : ["teacher"],
  );
  for (const { track } of answers.rows) make("i", "kd-hard", track);
  const gradients = hasStudent && panel(
    "What each label would teach", [["teacher", "soft label, × T²"], ["hard", "hard label, T = 1"]], "kd-gradients", ["teacher", "hard"],
  );
  const showLimit = gradients && gradientAxis(gradients.panel);
  if (gradients) {
    for (const text of [
      "Gradient of the loss on the student's logits. A training step goes against it: a bar to the left raises that class, one to the right lowers it.",
      "Soft: T² (softmax(z/T) − softmax(v/T)) / T. Hard: softmax(z) − one-hot. z are the student's logits, v the teacher's.",
    ]) make("p", "kd-note", charts, { text });
  }
  let limit = 1;

  function drawExample() {
    show([answers, gradients].filter(Boolean));
    if (gradients) showLimit(limit = gradientLimit(examples[model.get("selected")]));
    draw();
  }

  function draw() {
    const T = model.get("temperature"), n = analyse(examples[model.get("selected")], T), both = [n.teacher, n.student].filter(Boolean);
    showT(T);
    answers.rows.forEach(({ bars, values }, i) => both.forEach((p, k) => {
      bars[k].style.width = `${100 * p[i]}%`;
      values[k].textContent = percent(p[i]);
    }));
    both.forEach((p, k) => {
      entropies[k].textContent = [n.teacher_entropy, n.student_entropy][k].toFixed(3);
      shares[k].textContent = percent(p[n.label]);
    });
    const [first, second] = order(n.teacher);
    let sentence = `At temperature ${formatT(T)} the teacher gives ${percent(n.teacher[first])} to ${names[first]}, then ${percent(n.teacher[second])} to ${names[second]}`;
    if (gradients) {
      divergence.textContent = Math.abs(n.kl).toFixed(3);
      const best = order(n.student)[0];
      sentence += `; the student gives ${percent(n.student[best])} to ${names[best]}`;
      const steps = [n.soft_gradient, n.hard_gradient].map((gradient, k) => {
        gradients.rows.forEach(({ bars, values }, i) => {
          drawGradient(bars[k], gradient[i], limit);
          values[k].textContent = signed(gradient[i], 2);
        });
        const ranked = order(gradient), up = ranked.at(-1), down = ranked[0];
        return `The ${k ? "hard" : "soft"} label raises ${names[up]} most (gradient ${signed(gradient[up], 2)}) and lowers ${names[down]} most (${signed(gradient[down], 2)}).`;
      });
      gradients.box.setAttribute("aria-label", steps.join(" "));
    }
    told.textContent = `${sentence}.`;
    answers.box.setAttribute("aria-label", `${sentence}. The hard label is ${names[n.label]}.`);
    root.dataset.numbers = JSON.stringify(n); // full precision, for tests and for the curious
  }

  drawExample();
  return listen(model, { temperature: draw, selected: drawExample });
}

export default { render };
