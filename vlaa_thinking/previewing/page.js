"use strict";
// Rows and images lie in this page as JSON. Whatever they hold is put into the page as text, never as markup.

const rows = JSON.parse(document.getElementById("data-rows").textContent);
const pictures = JSON.parse(document.getElementById("data-pictures").textContent);
const list = document.getElementById("list");
const pane = document.getElementById("row");
const large = document.getElementById("large");
const search = document.getElementById("search");
const FILTERS = ["config", "source", "answer_type", "score_by", "code"];
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const opened = new Set();  // the titles of what the reader has unfolded: it stays so from row to row
let found = rows.map((_, i) => i);
let current = -1;

function make(tag, properties, ...children) {
  const { class: names, ...rest } = properties || {};
  const element = document.createElement(tag);
  if (names) element.className = names;
  for (const [name, value] of Object.entries(rest)) {
    if (name in element) element[name] = value; else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// --- the list -----------------------------------------------------------------------------------

function label(row) {
  return row.state === "dropped" ? row.code || "dropped" : row.config;
}

function item(row, i) {
  const uri = pictures[row.image_sha256];
  const thumb = uri
    ? make("img", { class: "thumb", alt: "", loading: "lazy", decoding: "async", width: 56, height: 46 })
    : make("span", { class: "thumb none" }, "no image");
  const tone = row.state === "dropped" ? "rejected" : row.config;
  const meta = make("span", { class: "meta" }, make("span", { class: `chip tone-${tone}` }, label(row)), row.id);
  const words = make("span", {}, make("span", { class: "ask" }, row.question || "(no question)"), meta);
  const element = make("li", { id: `row-${i}`, role: "option", "aria-selected": "false" }, thumb, words);
  element.addEventListener("click", () => choose(i));
  return element;
}

const items = rows.map(item);
const unseen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    unseen.unobserve(entry.target);
    const image = entry.target.querySelector("img");
    if (image) image.src = pictures[rows[items.indexOf(entry.target)].image_sha256];
  }
}, { rootMargin: "300px" });
list.append(...items);
items.forEach((element) => unseen.observe(element));

// --- filters ------------------------------------------------------------------------------------

function options(name) {
  const counts = new Map();
  for (const row of rows) {
    const value = row[name];
    if (value !== undefined) counts.set(value, (counts.get(value) || 0) + 1);
  }
  const select = document.getElementById(name);
  select.append(make("option", { value: "" }, "all"));
  for (const [value, count] of [...counts].sort((a, b) => b[1] - a[1])) {
    select.append(make("option", { value: `=${value}` }, `${value} (${count})`));
  }
  select.parentElement.hidden = counts.size === 0;
  select.addEventListener("change", filter);
}

const words = rows.map((row) => [
  row.id, row.question, row.answer, row.said, row.reasoning, row.reason, row.evidence, row.caption, row.teacher_response,
].filter(Boolean).join("\n").toLowerCase());

function filter() {
  const asked = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = FILTERS.map((name) => [name, document.getElementById(name).value]).filter(([, value]) => value);
  found = [];
  rows.forEach((row, i) => {
    const fits = wanted.every(([name, value]) => `=${row[name]}` === value) && asked.every((word) => words[i].includes(word));
    items[i].hidden = !fits;
    items[i].style.display = fits ? "" : "none";
    if (fits) found.push(i);
  });
  const count = document.getElementById("found");
  count.textContent = found.length === rows.length ? `${rows.length} rows` : `${found.length} of ${rows.length} rows`;
  if (found.includes(current)) show(current); else choose(found.length ? found[0] : -1, false);
}

// --- one row ------------------------------------------------------------------------------------

function choose(i, scroll = true) {
  if (current >= 0) items[current].setAttribute("aria-selected", "false");
  current = i;
  if (i >= 0) {
    items[i].setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", items[i].id);
    if (scroll) {
      items[i].scrollIntoView({ block: "nearest" });
      history.replaceState(null, "", `#row=${encodeURIComponent(rows[i].id)}`);
    }
  } else {
    list.removeAttribute("aria-activedescendant");
  }
  show(i);
}

function show(i) {
  if (i < 0) {
    pane.replaceChildren(make("p", { class: "empty" }, "No row is like that."));
    return;
  }
  const row = rows[i];
  pane.replaceChildren(
    head(row, i),
    make("div", { class: "look" }, picture(row), make("div", {}, make("h3", { class: "ask" }, row.question || "(no question)"), choices(row), facts(row))),
    ...reasoning(row),
    ...folded(row),
  );
  pane.scrollTop = 0;
}

function head(row, i) {
  const at = found.indexOf(i);
  const verdict = { right: "✓ right", wrong: "✗ wrong" }[row.verdict];
  const back = make("button", { type: "button", disabled: at === 0 }, "Previous");
  const next = make("button", { type: "button", disabled: at === found.length - 1 }, "Next");
  back.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  return make("div", { class: "head" },
    make("span", { class: `chip tone-${row.config}` }, row.state === "dropped" ? "rejected" : `${row.config}/${row.part}`),
    verdict ? make("span", { class: `chip tone-${row.verdict}` }, verdict) : null,
    row.state === "dropped" ? make("span", { class: "chip tone-rejected" }, `${row.step}: ${row.code}`) : null,
    make("span", { class: "id mono" }, row.id),
    make("span", { class: "step" }, `${at + 1} of ${found.length}`, back, next),
  );
}

function boxes(row) {
  const drawn = [...(row.boxes || []).map((box) => ["gold", box]), ...(row.saidBoxes || []).map((box) => ["said", box])];
  if (!drawn.length) return null;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [kind, [left, top, right, bottom]] of drawn) {
    const rect = document.createElementNS(space, "rect");
    const sides = { x: left, y: top, width: right - left, height: bottom - top, class: kind };
    for (const [name, value] of Object.entries(sides)) rect.setAttribute(name, value);
    svg.append(rect);
  }
  return svg;
}

function picture(row) {
  const uri = pictures[row.image_sha256];
  if (!uri) return make("div", { class: "noimage" }, row.image_sha256 ? "The image is not in this page." : "There is no image.");
  const frame = make("button", { type: "button", class: "frame", "aria-label": "Enlarge the image" },
    make("img", { src: uri, alt: "The image that the question is about" }), boxes(row));
  frame.addEventListener("click", enlarge);
  const keys = make("figcaption", {},
    row.boxes ? make("span", { class: "key" }, "right answer") : null,
    row.saidBoxes ? make("span", { class: "key said" }, "the reply's") : null);
  return make("figure", {}, frame, keys);
}

function enlarge() {
  const row = rows[current];
  const uri = row && pictures[row.image_sha256];
  if (!uri) return;
  const { naturalWidth: width, naturalHeight: height } = pane.querySelector("figure img");
  const scale = Math.min(0.94 * window.innerWidth / width, 0.94 * window.innerHeight / height, 2);
  const image = make("img", { src: uri, alt: "The image that the question is about", width: Math.round(width * scale) });
  large.replaceChildren(make("div", { class: "frame" }, image, boxes(row)));
  large.showModal();
}
large.addEventListener("click", () => large.close());

function choices(row) {
  if (!row.choices) return null;
  return make("ul", { class: "options" }, ...row.choices.map((text, i) => {
    const letter = LETTERS[i] || String(i + 1);
    const hit = row.answer_type === "choice" && row.answer === letter;
    return make("li", { class: hit ? "hit" : "" }, make("b", {}, letter), make("span", {}, text));
  }));
}

function facts(row) {
  const other = (row.answers || []).filter((text) => text !== row.answer);
  const models = Object.entries(row.models || {}).map(([role, name]) => `${role}: ${name}`).join("\n");
  const by = { rule: "by rule", judge: "by the judge" }[row.score_by];
  const form = row.answer_type === "open" ? "" : "mono";
  const option = row.answer_type === "choice" && row.choices && row.choices[LETTERS.indexOf(row.answer)];
  const score = row.score === undefined ? "not scored" : `score ${+row.score.toFixed(3)}`;
  const verdict = row.score_by ? `${score}, ${by}. ${row.score_reason || ""}` : undefined;
  const pairs = [
    ["right answer", option ? `${row.answer}: ${option}` : row.answer, form],
    ["annotators who say so", row.answer_share && `${Math.round(100 * row.answer_share)} %`],
    ["also accepted", other.length ? other.join("\n") : undefined],
    ["the reply's answer", row.said, form],
    ["verdict", verdict],
    ["the judge, too", row.judge_score],
    ["why here", row.why],
    ["why dropped", row.reason],
    ["what shows it", row.evidence],
    ["cues", row.cues && row.cues.join(", ")],
    ["teacher's pass rate", row.teacher_pass_rate],
    ["policy's pass rate", row.policy_pass_rate],
    ["rewritten", row.word_edits ? `${row.word_edits} words` : row.word_gap ? `${row.word_gap} words` : undefined],
    ["answer type", row.answer_type],
    ["source", `${row.source} (${row.source_license})`],
    ["models", models || undefined],
  ];
  const given = pairs.filter(([, value]) => value !== undefined && value !== "");
  return make("dl", { class: "facts" }, ...given.flatMap(([name, value, names]) => [make("dt", {}, name), make("dd", { class: names || "" }, String(value))]));
}

function reasoning(row) {
  if (row.reasoning === undefined) return [];
  const title = row.teacher_reasoning === undefined ? "Reasoning, as the teacher wrote it" : "Reasoning, as rewritten";
  const spans = row.teacher_reasoning === undefined ? row.cueSpans : undefined;
  return [make("h4", {}, title), text(row.reasoning, spans)];
}

function text(value, spans) {
  const element = make("div", { class: "text" });
  let at = 0;
  for (const [start, end] of spans || []) {
    if (start < at || end > value.length) continue;
    element.append(value.slice(at, start), make("mark", { title: "a cue of self-reflection" }, value.slice(start, end)));
    at = end;
  }
  element.append(value.slice(at));
  return element;
}

function folded(row) {
  const parts = [
    ["The teacher's reasoning, as it came", row.teacher_reasoning, row.cueSpans],
    ["The teacher's reply", row.teacher_response],
    ["The caption that the teacher read", row.caption],
    ["The prompt that a model is trained on", row.prompt && [row.system, row.prompt].filter(Boolean).join("\n\n")],
  ];
  return parts.filter(([, value]) => value).map(([title, value, spans]) => {
    const element = make("details", { open: opened.has(title) }, make("summary", {}, title), text(value, spans));
    element.addEventListener("toggle", () => (element.open ? opened.add(title) : opened.delete(title)));
    return element;
  });
}

// --- the keyboard -------------------------------------------------------------------------------

function step(by) {
  const at = found.indexOf(current) + by;
  if (at < 0 || at >= found.length) return;
  choose(found[at]);
  const browser = document.getElementById("browser").getBoundingClientRect();
  if (browser.top > window.innerHeight / 2 || browser.bottom < window.innerHeight / 2) {
    document.getElementById("browser").scrollIntoView();
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || large.open) return;
  const typing = event.target.matches("input, select, textarea");
  if (typing) {
    if (event.key === "Escape" && event.target === search) list.focus();
    return;
  }
  const inList = list.contains(event.target);
  const moves = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 } : {}) };
  if (event.key in moves) {
    const by = moves[event.key];
    const at = found.indexOf(current);
    step(Math.max(-at, Math.min(found.length - 1 - at, by)));
  } else if (inList && event.key === "Home" && found.length) {
    choose(found[0]);
  } else if (inList && event.key === "End" && found.length) {
    choose(found[found.length - 1]);
  } else if (event.key === "/") {
    search.focus();
    search.select();
  } else if (event.key === "f") {
    enlarge();
  } else {
    return;
  }
  event.preventDefault();
});

// --- begin --------------------------------------------------------------------------------------

FILTERS.forEach(options);
search.addEventListener("input", filter);
document.getElementById("filters").addEventListener("reset", () => setTimeout(filter));
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
filter();
const named = decodeURIComponent((/^#row=(.*)$/.exec(location.hash) || [])[1] || "");
const start = rows.findIndex((row) => row.id === named);
if (start >= 0) {
  document.getElementById("browser").scrollIntoView();
  choose(start);
}
