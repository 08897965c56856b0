// The text explorer's page side: soft labels of logits that the models gave, so that the temperature lives without a kernel.
// A text goes to the kernel when typing pauses; what it answered once is here, and needs it no more.

const MOST_ROWS = 6; // classes by name; the others share one more row
const PAUSE = 50, PATIENCE = 1500; // ms: when typing has paused (a held key repeats sooner), and when a kernel would have answered

const cut = (text, most) => {
  const letters = [...text.slice(0, 10 * most).split(/\s+/).join(" ").trim()];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : letters.join("");
};
const time = (ms) => `${ms >= 10 ? count(Math.round(ms)) : Number(Math.max(ms, 0.001).toPrecision(2))} ms`;
const bits = (nats) => (nats / Math.LN2).toFixed(2);

/** Which classes to show, in the order of the first model: the highest of each, up to MOST_ROWS in all. Ranks stay while T moves. */
function chosenClasses(models) {
  const ranks = models.map(({ logits }) => order(order(logits).map((i) => -i))), first = ranks[0];
  const best = first.map((_, i) => Math.min(...ranks.map((rank) => rank[i]))), most = first.length > MOST_ROWS + 1 ? MOST_ROWS : first.length;
  return first.map((_, i) => i).sort((a, b) => best[a] - best[b] || first[a] - first[b]).slice(0, most).sort((a, b) => first[a] - first[b]);
}

/** Every number that the page shows about one text, by role. */
function compare(answer, roles, T) {
  const classes = chosenClasses(roles.map((role) => answer[role]));
  return Object.fromEntries(roles.map((role) => {
    const { logits, ms } = answer[role], logP = logSoftmax(logits, T), soft = logP.map(Math.exp), named = classes.map((i) => soft[i]);
    const rest = sum(soft.filter((_, i) => !classes.includes(i)));
    return [role, { ms, soft_labels: soft, entropy: entropy(logP), classes, shares: [...named, rest], best: order(logits)[0] }];
  }));
}

function render({ model, el }) {
  const classes = model.get("class_names"), names = model.get("names"), examples = model.get("examples");
  const roles = ["teacher", "student"].filter((role) => model.get("answers")[0][role]);
  const find = () => model.get("answers").find(({ text }) => text === model.get("text"));
  const { root, id } = frame(el, "kd-tx", "Text explorer");

  make("label", "", root, { for: `${id}-text`, text: "Text" });
  const area = make("textarea", "", root, { id: `${id}-text`, rows: 3, ...KEYS });
  const controls = make("div", "kd-tx-controls", root), showT = temperatureSlider(controls, id, model), menuBox = make("div", "kd-tx-menu", controls);
  const select = examples.length > 0 && menu(menuBox, `${id}-example`, "Example",
    [["", "choose one, or type above"], ...examples.map((text, i) => [i, cut(text, 60)])], (i) => i !== "" && send(examples[i]));
  const status = make("p", "kd-tx-status", root, { role: "alert" }), lines = says(root, 2);

  const charts = make("div", "kd-charts", root), more = classes.length > MOST_ROWS + 1;
  const rows = more ? [...classes.slice(0, MOST_ROWS), `${classes.length - MOST_ROWS} others`] : classes;
  const panels = roles.map((role) => {
    const box = make("section", "kd-panel", charts);
    make("h4", "", box, { text: names[role] });
    return { facts: make("p", "kd-note", box), ...chart(box, more ? "kd-tx-more" : "", rows, [role]) };
  });
  make("p", "kd-note", root, { text: "Without a running kernel only texts that were answered before can be shown; the temperature moves all the same." });

  let shown = null, typing = 0, waiting; // typing: a pause that has not come yet

  function send(text) {
    clearTimeout(typing);
    typing = 0;
    if (text !== model.get("text")) choose(model, "text", text);
  }
  area.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => send(area.value), PAUSE);
  });
  area.addEventListener("change", () => send(area.value));

  function say(why) {
    status.textContent = why && `${why.replace(/\.$/, "")}. The picture still shows the last text that has an answer.`;
  }

  function drawText() {
    const text = model.get("text"), refused = model.get("refused"), answer = find();
    if (!typing && area.value !== text) area.value = text; // or an answer to an older text would undo what is being typed
    if (select) select.value = examples.includes(text) ? examples.indexOf(text) : "";
    clearTimeout(waiting);
    say(!answer && refused.text === text ? refused.why : "");
    if (!status.textContent && !answer) waiting = setTimeout(say, PATIENCE, "There is no answer to this text yet, it takes a running kernel");
    if (shown && (!answer || answer.text === shown.text)) return;
    shown = answer ?? model.get("answers").at(-1);
    draw();
  }

  function draw() {
    const T = model.get("temperature"), n = compare(shown, roles, T), chosen = n[roles[0]].classes, best = roles.map((role) => classes[n[role].best]);
    showT(T);
    roles.forEach((role, k) => {
      const { facts, rows: bars, box } = panels[k], { shares, ms, entropy: nats } = n[role];
      facts.textContent = `${time(ms)} · entropy ${bits(nats)} of ${bits(Math.log(classes.length))} bits`;
      const told = bars.map(({ row, name, bars: [bar], values: [value] }, i) => {
        if (i < chosen.length) name.textContent = name.title = classes[chosen[i]];
        row.classList.toggle("kd-tx-best", chosen[i] === n[role].best);
        bar.style.width = `${100 * shares[i]}%`;
        value.textContent = percent(shares[i]);
        return `${name.textContent} ${value.textContent}`;
      });
      box.setAttribute("aria-label", `${names[role]} (${facts.textContent}): ${told.join(", ")}.`);
    });
    lines[0].textContent = (roles.length < 2 ? `Only the ${names.student} is shown: there is no ${names.teacher} on this machine. It says ${best[0]}.`
      : best[0] === best[1] ? `Both say ${best[0]}.` : `They disagree: ${roles.map((role, k) => `${names[role]} says ${best[k]}`).join(", ")}.`)
      + ` Temperature ${formatT(T)}.`;
    lines[1].textContent = `The text: ${cut(shown.text, 80)}`;
    root.dataset.numbers = JSON.stringify({ text: shown.text, temperature: T, ...n }); // full precision, for tests and for the curious
  }

  drawText();
  const end = listen(model, { text: drawText, answers: drawText, refused: drawText, temperature: draw });
  return () => {
    end();
    clearTimeout(typing);
    clearTimeout(waiting);
  };
}

export default { render };
