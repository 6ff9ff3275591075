// The tree of views: each below the view that it was cut from. It grows while a run goes on, and is the same afterwards.
//
//   const tree = new Tree(looks, { picked: (node) => ..., stepOf: (node) => ({ index, name, text }) or null });
//   tree.put(node, under);        // while it grows; `under` is the box of the view above, null for the whole
//   tree.fill(root, unlooked);    // all of a finished run
//
// One box is one node. Keys are those of an ARIA tree: arrows, Home, End; Enter picks once more.

import { bar, el } from "./dom.js";

let trees = 0;
const keyOf = (box) => box.join(",");

export class Tree {
  constructor(looks, { picked, stepOf }) {
    Object.assign(this, { looks, picked, stepOf, id: `tree${++trees}` });
    this.list = el("ul.tree", { role: "tree", "aria-label": "Views" });
    this.words = el("p.note", {});
    this.element = el("section.views", { hidden: true }, el("h3", {}, "What the model was shown"), this.words, this.list);
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.clear();
  }

  // How many there are, in words.
  get told() {
    return this.nodes.size === 1 ? "One view so far." : `${this.nodes.size} views so far.`;
  }

  clear() {
    this.items = new Map();
    this.nodes = new Map();
    this.chosen = this.fresh = null;
    this.named = 0;
    this.list.replaceChildren();
    this.element.hidden = true;
  }

  // A node that is new, or that more is known of now.
  put(node, under) {
    const key = keyOf(node.box);
    this.fresh = key;
    this.#place(key, node, under && keyOf(under));
    this.#say(0);
    this.refresh();
  }

  // Everything, in its final order. What was not shown after all goes.
  fill(root, unlooked) {
    this.fresh = null;
    this.nodes = new Map();
    const held = this.list.contains(document.activeElement) && document.activeElement;
    const walk = (node, under) => {
      this.#place(keyOf(node.box), node, under);
      for (const child of node.children) walk(child, keyOf(node.box));
    };
    if (root) walk(root, null);
    this.element.hidden = !root;
    for (const key of this.items.keys()) if (!this.nodes.has(key)) this.#remove(key);
    for (const group of this.list.querySelectorAll("ul:empty")) this.#leaf(group);
    if (held?.isConnected) held.focus({ preventScroll: true });
    this.#say(unlooked);
    this.refresh();
  }

  // Rows once more: a step has come, or the run is over.
  refresh() {
    for (const [key, node] of this.nodes) this.items.get(key).firstChild.replaceChildren(...this.#row(key, node));
  }

  // No view is looked at just now.
  settle() {
    this.fresh = null;
    this.refresh();
  }

  // Shows which node is meant, opening what lies above it. The focus stays where it is.
  select(box, seen = false) {
    const key = box && keyOf(box);
    this.chosen = this.items.has(key) ? key : null;
    for (const [one, item] of this.items) item.firstChild.setAttribute("aria-selected", String(one === this.chosen));
    const item = this.items.get(this.chosen);
    for (let above = item && this.#above(item); above; above = this.#above(above)) this.#open(above, true);
    this.#reach((item ?? this.list.firstChild)?.firstChild);
    if (item && seen) item.firstChild.scrollIntoView({ block: "nearest" });
  }

  // Nodes

  #place(key, node, under) {
    this.nodes.set(key, node);
    const item = this.items.get(key) ?? this.#item(key);
    const parent = under === null ? this.list : this.#group(this.items.get(under));
    const place = [...this.nodes.keys()].filter((one) => this.items.get(one).parentNode === parent && one !== key).length;
    if (parent.children[place] !== item) parent.insertBefore(item, parent.children[place] ?? null);
    if (!this.list.querySelector("[tabindex='0']")) item.firstChild.tabIndex = 0;
    item.firstChild.setAttribute("aria-level", under === null ? 1 : 1 + Number(this.items.get(under).firstChild.ariaLevel));
    this.element.hidden = false;
  }

  #item(key) {
    const row = el("div.look", { role: "treeitem", tabindex: -1, "aria-selected": "false" });
    const item = el("li", { role: "none" }, row);
    row.addEventListener("click", (event) => {
      if (event.target.closest(".twist")) return this.#open(item, row.ariaExpanded === "false");
      row.focus({ preventScroll: true });
      this.picked(this.nodes.get(key));
      return null;
    });
    this.items.set(key, item);
    return item;
  }

  #group(item) {
    if (item.children.length < 2) {
      const id = `${this.id}-${++this.named}`;
      item.append(el("ul", { role: "group", id }));
      item.firstChild.setAttribute("aria-owns", id);
      item.firstChild.setAttribute("aria-expanded", "true");
    }
    return item.lastChild;
  }

  #remove(key) {
    const item = this.items.get(key);
    item.remove();
    this.items.delete(key);
  }

  #leaf(group) {
    for (const name of ["aria-expanded", "aria-owns"]) group.previousSibling.removeAttribute(name);
    group.remove();
  }

  // Words

  #say(unlooked) {
    const more = unlooked ? ` ${unlooked} more regions were thought of and not looked at.` : "";
    this.words.textContent = `Every view is cut from the original; a view inside another was cut from there.${more}`;
  }

  #row(key, node) {
    const item = this.items.get(key);
    const had = item.querySelector(".pic");
    const step = this.stepOf(node);
    return [
      had?.dataset.size === String(node.size) ? had : el("span.pic", { "data-size": node.size }, this.looks.image(node)),
      el("div", {},
        el("p.title", {}, el("span.number", {}, String(node.number)), el("b", {}, node.title), step ? el("span.note", {}, `step ${step.index + 1}`) : null, el("span.twist", { "aria-hidden": "true" })),
        el("div.said", {}, this.#findings(key, node, step),
          el("p.note", {}, `[${node.box.join(", ")}] ${node.sizes ? `at ${node.sizes}` : "not shown by itself"}`))),
    ];
  }

  // What came of it; until that is known, what its step said.
  #findings(key, node, step) {
    const found = node.regions.map((region) => el("div.measure", {}, el("p", {}, el("span", { dir: "auto" }, region.words), el("b", {}, region.sure)), bar(100 * region.here)));
    if (node.evidence?.text) found.push(el("p", { dir: "auto" }, "Read: ", el("b", {}, node.evidence.text)));
    if (!found.length && step) found.push(el("p", { dir: "auto" }, step.text));
    if (!found.length && key === this.fresh) found.push(el("p.looking", {}, "Being looked at"));
    return found;
  }

  // Hands

  #above(item) {
    const above = item.parentNode.closest("li");
    return above && this.list.contains(above) ? above : null;
  }

  #open(item, open) {
    if (item.children.length < 2) return;
    const [row, group] = item.children;
    row.setAttribute("aria-expanded", String(open));
    group.hidden = !open;
    if (!open && group.contains(document.activeElement)) row.focus();
    if (!open && group.querySelector("[tabindex='0']")) this.#reach(row);
  }

  // The one item that Tab leads to.
  #reach(row) {
    for (const other of this.list.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    if (row) row.tabIndex = 0;
  }

  #key(event) {
    const row = event.target.closest("[role=treeitem]");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const seen = [...this.list.querySelectorAll("[role=treeitem]")].filter((one) => !one.closest("[hidden]"));
    const beside = (by) => seen[seen.indexOf(row) + by];
    const item = row.parentNode;
    const goes = {
      ArrowDown: () => beside(1), ArrowUp: () => beside(-1), Home: () => seen[0], End: () => seen.at(-1),
      ArrowRight: () => (row.ariaExpanded === "false" ? this.#open(item, true) : row.ariaExpanded && beside(1)),
      ArrowLeft: () => (row.ariaExpanded === "true" ? this.#open(item, false) : this.#above(item)?.firstChild),
      Enter: () => row, " ": () => row,
    }[event.key];
    if (!goes) return;
    event.preventDefault();
    event.stopPropagation();
    const to = goes();
    if (!to) return;
    to.focus();
    this.picked(this.nodes.get([...this.items].find(([, one]) => one === to.parentNode)[0]));
  }
}
