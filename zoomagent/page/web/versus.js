// Two runs in one table: what each said, how sure, at what price.

import { el } from "./dom.js";

export function versus(one, two) {
  const differ = one.text !== two.text;
  const names = ["how", "answer", "confidence", "decided by", ...one.costs.map(([name]) => name)];
  const row = (run) => [run.strategy, run.text || run.outcome_words, run.sure ? `${run.sure}, ${run.kind}` : `none: ${run.no_confidence}`, side(run), ...run.costs.map(([, value]) => value)];
  return el("div", {},
    el("p.big", {}, one.question === two.question ? (differ ? "They differ" : "Both say the same") : "Two questions"),
    el("div.scroll", { tabindex: 0, role: "region", "aria-label": "Both runs as a table" }, el("table", {},
      el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, [one, two].map((run) => el("tr", {}, row(run).map((value, index) =>
        el(index ? "td" : "th", { dir: "auto", ...(index ? {} : { scope: "row" }) }, value))))))));
}

function side(run) {
  return { macro: "the whole picture", micro: "a closer look" }[run.perspective] ?? "neither";
}
