// The tree of views: each below the view that it was cut from. It grows while a run goes on, and is the same afterwards.
//
//   const tree = new Tree({ picked: (node) => ... });
//   tree.take(list);              // a tree that the server wrote, with all that is in it
//   tree.put(item, under);        // one more of its items; `under` is the key of the view above, null for the whole
//
// A key is a box, `left,top,right,bottom`; in frames of a clip `name/left,top,right,bottom`. One key is one node, and one item. What an item says is the server's; here are its roles, its keys and its choice.
// Keys are those of an ARIA tree: arrows, Home, End; Enter picks once more.

import { el } from "./dom.js";

let trees = 0;

// What a key means: a box, and of what picture (null: the one there is).
export function placeOf(key) {
  const [corners, of] = key.split("/").reverse();
  return { of: of ?? null, box: corners.split(",").map(Number) };
}

export class Tree {
  constructor({ picked }) {
    Object.assign(this, { picked, id: `tree${++trees}` });
    this.clear();
  }

  // How many there are, in words.
  get told() {
    return this.nodes.size === 1 ? "One view so far." : `${this.nodes.size} views so far.`;
  }

  clear() {
    this.list = el("ul");
    this.items = new Map();
    this.nodes = new Map();
    this.chosen = null;
    this.named = 0;
  }

  // In place of the tree so far: what was closed there stays closed.
  take(list) {
    const closed = [...this.items].filter(([, item]) => item.firstChild.ariaExpanded === "false").map(([key]) => key);
    this.clear();
    this.list = list;
    list.setAttribute("role", "tree");
    list.setAttribute("aria-label", "Views");
    list.addEventListener("keydown", (event) => this.#key(event));
    for (const item of list.querySelectorAll("li")) this.#adopt(item);
    for (const key of closed) if (this.items.has(key)) this.#open(this.items.get(key), false);
  }

  // A view that is new, or of which more is known now.
  put(item, under) {
    const had = this.items.get(item.dataset.box);
    if (had) {
      had.firstChild.replaceChildren(...item.firstChild.childNodes);
      this.#twist(had.firstChild);
      return;
    }
    const above = under && this.items.get(under);
    (above ? above.querySelector(":scope > ul") ?? above.appendChild(el("ul")) : this.list).append(item);
    if (above) this.#parent(above);
    this.#adopt(item);
  }

  // No view is looked at just now.
  settle() {
    for (const words of this.list.querySelectorAll(".looking")) words.remove();
  }

  // The key whose item has the focus; and the focus to the item of a key.
  get focused() {
    return this.list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.box : null;
  }

  focus(key) {
    this.items.get(key)?.firstChild.focus({ preventScroll: true });
  }

  // Shows which node is meant, opening what lies above it. The focus stays where it is.
  select(key, seen = false) {
    this.chosen = this.items.has(key) ? key : null;
    for (const [one, item] of this.items) item.firstChild.setAttribute("aria-selected", String(one === this.chosen));
    const item = this.items.get(this.chosen);
    for (let above = item && this.#above(item); above; above = this.#above(above)) this.#open(above, true);
    this.#reach((item ?? this.list.firstElementChild)?.firstChild);
    if (item && seen) item.firstChild.scrollIntoView({ block: "nearest" });
  }

  // Items

  #adopt(item) {
    const key = item.dataset.box;
    const row = item.firstChild;
    const above = this.#above(item);
    this.items.set(key, item);
    this.nodes.set(key, { key, ...placeOf(key), title: row.querySelector(".title b").textContent });
    item.setAttribute("role", "none");
    row.setAttribute("role", "treeitem");
    row.setAttribute("aria-selected", "false");
    row.setAttribute("aria-level", above ? 1 + Number(above.firstChild.ariaLevel) : 1);
    row.tabIndex = this.items.size === 1 ? 0 : -1;
    row.addEventListener("click", (event) => {
      if (event.target.closest(".twist")) return this.#open(item, row.ariaExpanded === "false");
      row.focus({ preventScroll: true });
      this.picked(this.nodes.get(key));
      return null;
    });
    this.#twist(row);
    if (item.children.length > 1) this.#parent(item);
  }

  // An item with others below it.
  #parent(item) {
    const [row, group] = item.children;
    if (group.id) return;
    group.id = `${this.id}-${++this.named}`;
    group.setAttribute("role", "group");
    row.setAttribute("aria-owns", group.id);
    row.setAttribute("aria-expanded", "true");
  }

  #twist(row) {
    row.querySelector(".title").append(el("span.twist", { "aria-hidden": "true" }));
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
