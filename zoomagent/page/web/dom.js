// Elements from plain values. Text is always text: nothing here reads markup.

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

const SVG = "http://www.w3.org/2000/svg";

// A bar of `percent` of 100. Drawn, not styled: the policy allows no style attributes.
export function bar(percent, side = "", label = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 100 6");
  svg.setAttribute("preserveAspectRatio", "none");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  for (const [kind, width] of [["track", 100], [`fill ${side}`, percent]]) {
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("class", kind);
    rect.setAttribute("width", Math.max(0, Math.min(100, width)));
    rect.setAttribute("height", 6);
    svg.append(rect);
  }
  return svg;
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
