// What the explorers of single images share.

/** The images to pick from and the one picked, as (label's name) => `caption`; returns the place beside it and what shows the choice. */
function digits(root, id, model, caption) {
  const examples = model.get("examples"), names = model.get("class_names");
  const [a, kind] = names.every((name) => /^[0-9]$/.test(name)) ? ["a", "digit"] : ["an", "image"];
  const inputs = radios(root, "kd-digits", id, `Pick ${a} ${kind}`, examples.map((_, i) => i), (i) => choose(model, "selected", i), (label, i, radio) => {
    radio.setAttribute("aria-label", `${kind} ${i + 1} of ${examples.length}, labelled ${names[examples[i].label]}`);
    make("img", "", label, { src: examples[i].image, alt: "" });
  });
  const top = make("div", "kd-top", root), figure = make("figure", "", top);
  const picture = make("img", "", figure), words = make("figcaption", "", figure);
  const show = (charts) => {
    const example = examples[model.get("selected")], name = names[example.label];
    inputs[model.get("selected")].checked = true;
    picture.src = example.image;
    picture.alt = `the chosen ${kind}, labelled ${name}`;
    words.textContent = caption(name);
    for (const { rows } of charts) rows.forEach(({ row }, i) => row.classList.toggle("kd-labelled", i === example.label));
  };
  return { top, show };
}

/** A round number not below `largest`, for the end of an axis. */
function axisEnd(largest) {
  if (largest < 1e-6) return 1;
  const power = 10 ** Math.floor(Math.log10(largest));
  return Number((power * [1, 1.5, 2, 3, 5, 7, 10].find((step) => step * power >= largest * 0.999)).toPrecision(2));
}

/** The axis below bars of gradients; returns what sets its end. */
function gradientAxis(parent) {
  const scale = make("div", "kd-axis", parent, { "aria-hidden": "true" });
  const [left, , right] = ["", "0", ""].map((text) => make("span", "", scale, { text }));
  return (limit) => {
    left.textContent = `−${limit} raises`;
    right.textContent = `lowers +${limit}`;
  };
}

/** A bar from zero, in the middle of its track, to one side. */
function drawGradient(bar, gradient, limit) {
  const share = Math.min(1, Math.abs(gradient) / limit) * 50; // per cent of the track
  bar.style.width = `${share}%`;
  bar.style.left = `${gradient < 0 ? 50 - share : 50}%`;
}

function signed(gradient, digits) {
  const text = Math.abs(gradient).toFixed(digits);
  return (Number(text) === 0 ? "" : gradient < 0 ? "−" : "+") + text;
}
