// The page: one picture or clip and its run, or two runs beside each other. Wires the parts; what they do is theirs.

import { GOING, addExample, addPicture, askRun, cancelRun, getBlob, getJson } from "./api.js";
import { $, el, hear, hearSometime } from "./dom.js";
import { timeWords } from "./frames.js";
import { listen } from "./giving.js";
import { Pane } from "./pane.js";
import { listSaved } from "./saved.js";
import { versus } from "./versus.js";

const HOW = {
  auto: "auto: only where needed", locate: "locate: point at it, cut it out", search: "search: region by region",
  tools: "tools: the model calls them", macro: "macro: the whole only", micro: "micro: always the crop",
  dualfocus: "dualfocus: one crop, the likelier answer", "dualfocus-published": "dualfocus, scored as published",
};

const about = await getJson("/api/about").catch((error) => trouble(error.message));
const first = new Pane($("first"), about?.tile);
const second = new Pane($("second"), about?.tile);
let going = null;

function start() {
  $("model").textContent = about.model;
  $("nano").hidden = about.model !== "nano";
  $("strategy").append(...about.strategies.map((name) => el("option", { value: name }, HOW[name] ?? name)));
  $("rule").append(...about.rules.map((name) => el("option", { value: name }, name)));
  preset();
  listen({ given: (blob, name) => take(() => sent(blob), "", name), example: () => take(addExample, about.example, "scene.jpg"), trouble });
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  $("regions").addEventListener("input", mark);
  first.viewer.addEventListener("drawn", ({ detail }) => (first.given.duration ? trouble("Regions are of pictures. Ask about a video or sound without them.") : addRegion(detail)));
  $("question").addEventListener("input", () => { $("trouble").hidden = true; });
  $("open-picture").addEventListener("click", () => $("file").click());
  $("open-saved").addEventListener("click", openSaved);
  $("open-help").addEventListener("click", () => $("help").showModal());
  $("close-compare").addEventListener("click", closeCompare);
  $("single").checked = localStorage.getItem("single") !== "off";
  $("single").addEventListener("change", () => localStorage.setItem("single", $("single").checked ? "on" : "off"));
  addEventListener("keydown", keys);
  const named = new URLSearchParams(location.hash.slice(1)).get("run");
  if (named) open(named);
}

// Trouble

function trouble(text) {
  $("trouble").querySelector("span").textContent = text;
  $("trouble").hidden = false;
}

$("trouble").querySelector("button").addEventListener("click", () => { $("trouble").hidden = true; });

// Work that may fail: told in words, and the page stays usable.
async function tried(work) {
  $("trouble").hidden = true;
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") trouble(error.message);
    return null;
  }
}

// Pictures

function sent(blob) {
  const most = about.max_bytes;
  if (blob.size > most) throw new Error(`The file has ${Math.ceil(blob.size / 2 ** 20)} MB; at most ${most / 2 ** 20} MB can be sent. Save a picture as JPEG; cut a video.`);
  return addPicture(blob);
}

async function take(giving, question = "", file = "") {
  cancel();
  closeCompare();
  document.body.classList.add("opening");
  hear("Opening the file");
  const picture = await tried(async () => giving());
  document.body.classList.remove("opening");
  if (!picture) return;
  first.forget();
  first.show({ ...picture, file: file.slice(0, 200) });
  setRegions([]);
  $("open-picture").hidden = false;
  if (question) $("question").value = question;
  history.replaceState(null, "", location.pathname);
  hear(picture.duration ? `The ${picture.sound ? "sound" : "video"} is open: ${timeWords(picture.duration)}` : `The picture is open: ${picture.width} by ${picture.height} pixels`);
  $("question").focus({ preventScroll: true });
}

// Runs

// What is left empty is as the server is set.
function asked() {
  const options = $("options").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const wrong = Number($("wrong").value);
  return {
    picture: first.given.asked, name: first.given.file ?? "", question: $("question").value, options, regions: regions(),
    strategy: $("strategy").value, rule: $("rule").value, calls: Number($("calls").value) || about.set.calls,
    seconds: Number($("seconds").value) || null, target_error: wrong > 0 ? wrong / 100 : null,
    gate: Number($("gate").value) > 0 ? Number($("gate").value) / 100 : null,
    arbiter: $("arbiter").checked || !about.set.arbiter ? null : "none",
    proof: $("proof").checked, check: $("check").checked,
  };
}

// What the lines say as numbers; the server says what is wrong with them.
const regions = () => $("regions").value.split("\n").filter((line) => line.trim()).map((line) => line.split(",").map(Number));

function setRegions(boxes) {
  $("regions").value = boxes.map((box) => box.join(", ")).join("\n");
  mark();
}

function mark() {
  first.viewer.about = regions().filter((box) => box.length === 4 && box.every(Number.isFinite));
  first.viewer.redraw();
}

// A box that was drawn, named in the question where the writing stopped.
function addRegion(box) {
  const [question, number] = [$("question"), regions().length];
  setRegions([...regions(), box]);
  const at = question.selectionStart ?? question.value.length;
  const before = question.value.slice(0, at);
  const gap = before && !before.endsWith(" ") ? " " : "";
  question.setRangeText(`${gap}{${number}}`, at, question.selectionEnd ?? at, "end");
  question.focus({ preventScroll: true });
  hear(`Region ${number}: ${box.join(", ")}`);
}

function preset() {
  $("strategy").value = about.set.strategy;
  $("rule").value = about.set.rule;
  $("calls").value = about.set.calls;
  $("seconds").value = about.set.seconds ?? "";
  $("wrong").value = about.set.target_error === null ? "" : Math.round(1e4 * about.set.target_error) / 100;
  $("gate").value = Math.round(1e4 * about.set.gate) / 100;
  $("arbiter").checked = about.set.arbiter;
  $("arbiter").disabled = !about.set.arbiter;
  $("proof").checked = about.set.proof;
  $("check").checked = about.set.check;
}

function ask() {
  if (!first.picture) return trouble("There is no picture yet. Drop one, choose one, or take the example.");
  if (!$("question").value.trim()) return trouble("There is no question yet. Write one, then ask.");
  return follow(first, asked(), (run) => offer(run));
}

// A run in a pane, from its question to its end.
async function follow(pane, what, ended) {
  if (going) return;
  const again = () => follow(pane, what, ended);
  begin(pane, what);
  try {
    for await (const event of askRun(what, going.stop.signal)) {
      if (GOING.has(event.event)) happened(pane, event);
      else over(pane, () => last(pane, event, ended, again));
    }
  } catch (error) {
    over(pane, () => pane.stopped(error.name === "AbortError" ? "Cancelled." : error.message, again));
  } finally {
    going = null;
    $("go").disabled = false;
  }
}

function begin(pane, what) {
  const pressed = document.activeElement === $("go");
  going = { stop: new AbortController(), id: null };
  $("trouble").hidden = true;
  pane.begin(what.question, what.strategy, cancel);
  if (pressed) $("cancel").focus({ preventScroll: true });
  $("go").disabled = true;
  hear("Asked");
}

function happened(pane, event) {
  if (event.event === "begun") {
    going.id = event.id;
    pane.begun(event.html);
  }
  if (event.event === "view") pane.view(event.view);
  if (event.event !== "step") return;
  pane.step(event);
  hearSometime(`${event.step.name}: ${event.step.text} ${pane.tree.told}`);
}

function last(pane, event, ended, again) {
  if (event.event === "cancelled") return pane.stopped("Cancelled.", again);
  if (event.event === "error") return pane.stopped(event.error.message, again);
  pane.end(event.run);
  hear(event.run.answered ? `Answer: ${event.run.text}. ${event.run.sure ?? ""}` : `No answer: ${event.run.outcome_words}`);
  return ended(event.run);
}

// The focus goes along: a button that is gone would lose it.
function over(pane, ends) {
  const held = document.activeElement === $("cancel");
  ends();
  $("go").disabled = false;
  const next = pane.story.querySelector(".stopped button") ?? ($("go").checkVisibility() ? $("go") : pane.canvas);
  if (held) next.focus({ preventScroll: true });
}

function cancel() {
  if (!going) return;
  if (going.id) cancelRun(going.id).catch(() => {});
  going.stop.abort();
}

// What can be done with a finished run: shared as a file, compared.
function offer(run) {
  if (!run.picture) return;
  history.replaceState(null, "", `#run=${run.id}`);
  const how = el("select", { "aria-label": "Strategy to compare with" }, about.strategies.filter((name) => name !== run.strategy).map((name) => el("option", { value: name }, name)));
  how.value = run.strategy === "macro" ? "auto" : "macro";
  const other = () => ({ ...asked(), picture: run.asked, name: run.picture.name, question: run.question, options: run.options, regions: run.about, strategy: how.value });
  first.actions.replaceChildren(
    el("button", { type: "button", id: "export", onclick: () => exported(run) }, "Save as one page"),
    el("span.joined", {}, el("button", { type: "button", id: "compare", onclick: () => compare(run, other()) }, "Compare with"), how));
}

const exported = (run) => tried(async () => {
  const address = URL.createObjectURL(await getBlob(`/api/runs/${run.id}/page.html`));
  el("a", { href: address, download: `zoomagent-${run.id}.html` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
});

const open = (id) => tried(async () => {
  const run = await getJson(`/api/runs/${id}`);
  const picture = await getJson(`/api/pictures/${run.asked}`);
  cancel();
  closeCompare();
  first.show({ ...picture, file: run.picture.name });
  $("open-picture").hidden = false;
  $("question").value = run.question;
  $("options").value = run.options.join("\n");
  setRegions(run.about);
  first.end(run);
  offer(run);
});

// Comparing

function compare(run, what) {
  beside(first.given);
  follow(second, what, () => told());
}

const openBeside = (id) => tried(async () => {
  const run = await getJson(`/api/runs/${id}`);
  beside(await getJson(`/api/pictures/${run.asked}`));
  second.end(run);
  told();
});

function beside(picture) {
  document.body.classList.add("comparing");
  $("second").hidden = $("close-compare").hidden = false;
  second.show(picture);
  // Of a clip the two may show different frames.
  const linked = picture.name === first.given.name && !picture.duration;
  first.viewer.linked = linked ? second.viewer : null;
  second.viewer.linked = linked ? first.viewer : null;
  scrollTo(0, 0);
}

function told() {
  $("versus").replaceChildren(versus(first.run, second.run));
  $("versus").hidden = false;
  for (const pane of [first, second]) pane.select(pane.steps.length - 1, false);
  (first.run.boxes.length ? first : second).toAnswer();
}

function closeCompare() {
  if (!document.body.classList.contains("comparing")) return;
  cancel();
  document.body.classList.remove("comparing");
  $("second").hidden = $("close-compare").hidden = $("versus").hidden = true;
  first.viewer.linked = second.viewer.linked = null;
}

const openSaved = () => listSaved({ open, beside: first.run && openBeside, tried });

// Keys

function keys(event) {
  const typing = event.target.matches?.("textarea, select, input");
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target === $("question")) return $("ask").requestSubmit();
  if (event.key === "Escape" && going) return cancel();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !$("single").checked) return;
  const pane = $("second").contains(document.activeElement) ? second : first;
  const does = {
    "/": () => $("question").focus(), o: () => $("file").click(), "?": () => $("help").showModal(),
    j: () => pane.move(1), k: () => pane.move(-1), z: () => pane.toAnswer(), b: () => first.picture && !first.given.duration && first.viewer.draw(!first.viewer.drawing),
    0: () => pane.picture && pane.whole(), "+": () => pane.viewer.closer(1.5), "-": () => pane.viewer.closer(1 / 1.5),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

if (about) start();
