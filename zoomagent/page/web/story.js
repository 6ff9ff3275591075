// A run in words: the answer and why, its steps, both answers, what was checked, the cost.
// Every word comes from the server or is fixed here; a model's text goes in as text.

import { bar, el } from "./dom.js";

// The answer, how sure it is, and the reason.
export function verdict(run) {
  const long = run.text.length > 24 ? "long" : "";
  const parts = [el("p", { class: `pill ${run.withheld !== null ? "withheld" : run.outcome}` }, run.outcome_words)];
  if (run.answered) {
    parts.push(el("p", { dir: "auto", class: `answer ${run.perspective ?? ""} ${long}` }, run.text));
    if (run.withheld !== null) parts.push(el("p.held", { dir: "auto" }, `Withheld: ${run.withheld}. It was not sure enough for the error rate asked for.`));
    parts.push(sureness(run));
  }
  parts.push(el("ul.why", {}, run.reasons.map((reason) => el("li", { dir: "auto" }, reason))));
  return el("section.verdict", {}, el("h2", { dir: "auto" }, run.question), options(run), ...parts);
}

function options(run) {
  return run.options.length ? el("ul.options", { "aria-label": "Options" }, run.options.map((one) => el("li", { dir: "auto" }, one))) : null;
}

function sureness(run) {
  if (run.confidence === null) return el("p.note", {}, `No confidence: ${run.no_confidence}.`);
  return el("div.measure", {},
    bar(100 * run.confidence, run.perspective, `Confidence ${run.sure}`),
    el("p", {}, el("b", {}, run.sure), ` ${run.kind}`));
}

export function steps(list, selected) {
  const items = list.map((step, index) =>
    el("li", { class: step.side }, el("button", {
      type: "button", class: "step", "data-step": index, onclick: () => selected(index),
    }, el("span.name", {}, step.name), el("span.said", { dir: "auto" }, step.text), el("span.time", {}, seconds(step.seconds)))));
  return el("ol.steps", {}, items);
}

const seconds = (value) => (value >= 1 ? `${value.toFixed(2)} s` : `${Math.round(1000 * value)} ms`);

export function sides(run) {
  if (!run.sides.length) return null;
  const cards = run.sides.map((side) => el("article", { class: `side ${side.name}${side.chosen ? " chosen" : ""}` },
    el("h4", {}, side.title, side.chosen ? el("span.tag", {}, run.withheld !== null ? "chosen, then withheld" : "chosen") : null),
    el("p.reply", { dir: "auto" }, side.c.text || "(nothing)"),
    side.c.reply === side.c.text ? null : el("p.note", { dir: "auto" }, `Reply: ${side.c.reply}`),
    side.bars.map((one) => measured(one.label, one.words, one.percent, side.name)),
    side.bars.length ? null : el("p.note", {}, "The model gave no likelihood.")));
  return section(run.sides.length === 2 ? "Two answers, one chosen" : "The answer", el("div.pair", {}, cards));
}

function measured(label, words, percent, side = "") {
  return el("div.measure", {}, el("p", {}, el("span", { dir: "auto" }, label), el("b", {}, words)), bar(percent, side));
}

export function checks(run) {
  if (!run.checks.length) return null;
  const items = run.checks.map((check) => el("li", {}, el("h4", {}, check.title), measured(check.text, check.words, check.percent)));
  return section("What was checked", el("ul.checks", {}, items));
}

export function cost(run) {
  return section("What it cost", el("dl.cost", {}, run.costs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

export function circumstances(run) {
  return section("What it was made with", el("dl.made", {}, run.circumstances.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value)))));
}

// The crops that were answered from, as the model saw them. The tree of all views is `tree.js`.
export function evidence(run, looks, chosen) {
  const crops = nodes(run.tree).filter((node) => node.evidence && node.crop !== null);
  if (!crops.length) return null;
  return el("div.crops", {}, crops.map((node) => {
    const said = [node.evidence.phrase ?? `Crop ${node.crop}`, node.evidence.seen && `seen here with ${node.evidence.seen}`].filter(Boolean).join(", ");
    return el("figure", {},
      el("button.pic", { type: "button", "aria-label": `Show ${node.title} in the picture`, onclick: () => chosen(node) }, looks.image(node)),
      el("figcaption", { dir: "auto" }, el("b", {}, said), node.evidence.mattered ? el("span", {}, `Did it matter? ${capital(node.evidence.mattered)}.`) : null));
  }));
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const section = (title, ...children) => el("section", {}, el("h3", {}, title), ...children);

function nodes(node) {
  return node ? [node, ...node.children.flatMap(nodes)] : [];
}
