// Elements from plain values, whose text is always text; and from what the server wrote.

export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const policy = window.trustedTypes?.createPolicy("run", { createHTML: (html) => html });
const NEVER = "script, style, link, meta, base, iframe, object, embed, form, template";
const ACTS = /^(on|src|style)|href/;

// The elements of a piece of a run. The server wrote it and escaped all text in it (`run_html.py`); nothing else comes
// in here. Pieces hold nothing that loads, acts or styles: one that does is not shown.
export function pieces(html) {
  const { body } = new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");
  const acts = [...body.querySelectorAll("*")].some((node) => node.matches(NEVER) || node.getAttributeNames().some((name) => ACTS.test(name)));
  if (acts) throw new Error("The server sent a run that holds more than text. It is not shown.");
  return [...body.children];
}

export const $ = (id) => document.getElementById(id);

const PAUSE = 4000;
let due = 0;
let newest = "";

// Tells a screen reader; what is seen says the same elsewhere.
export function hear(text) {
  clearTimeout(due);
  due = 0;
  $("heard").textContent = text;
}

// What happens quickly: the newest of it every few seconds, so that nobody is flooded.
export function hearSometime(text) {
  newest = text;
  due ||= setTimeout(() => hear(newest), PAUSE);
}
