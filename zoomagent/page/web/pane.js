// One picture with one run: the canvas, its tools, and the story beside it. A comparison has two.

import { el, pieces } from "./dom.js";
import { Looks } from "./looks.js";
import { Tree } from "./tree.js";
import { Viewer } from "./viewer.js";

const same = (a, b) => a.every((value, index) => value === b[index]);

export class Pane {
  constructor(section, side) {
    this.section = section;
    this.story = section.querySelector(".run");
    this.canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": "No picture yet" });
    this.caption = el("p.caption", {});
    this.tools = this.#tools();
    this.tools.hidden = true;
    section.querySelector(".stage").append(this.canvas, this.tools);
    this.viewer = new Viewer(this.canvas, side);
    this.viewer.addEventListener("moved", () => this.#say());
    this.viewer.addEventListener("tapped", ({ detail }) => this.#tapped(detail));
    this.looks = new Looks();
    this.tree = new Tree({ picked: (node) => this.pick(node) });
    this.canvas.addEventListener("pointermove", ({ offsetX, offsetY, buttons }) => {
      if (!buttons && this.picture) this.canvas.classList.toggle("on-box", Boolean(this.#there(this.viewer.toPicture(offsetX, offsetY), 5 / this.viewer.at.scale)));
    });
    this.column = section.querySelector(".story");
    for (const name of ["wheel", "touchmove"]) this.column.addEventListener(name, () => { this.following = false; }, { passive: true });
    this.forget();
  }

  show(picture) {
    if (picture.name !== this.picture?.name) this.forget();
    this.picture = picture;
    this.looks.of(picture.name);
    this.viewer.show(picture);
    this.tools.hidden = false;
    this.section.classList.add("has-picture");
    const sides = `${picture.width} by ${picture.height} pixels`;
    this.canvas.setAttribute("aria-label", `The picture, ${sides}. Arrow keys move, plus and minus zoom, 0 shows the whole.`);
    this.#say();
  }

  // No run any more; the picture stays.
  forget() {
    clearInterval(this.clock);
    this.run = null;
    this.steps = [];
    this.list = el("ol");
    this.views = {};
    this.at = -1;
    this.following = true;
    this.tree.clear();
    this.viewer.marks = [];
    this.viewer.redraw();
    this.story.replaceChildren();
    for (const name of ["before", "after", "rest"]) this[name].hidden = true;
  }

  // A run

  begin(question, strategy, stop) {
    this.forget();
    this.viewer.whole();
    const began = performance.now();
    const time = el("span", {}, "");
    this.status = el("span", {}, "Asking; the first question waits for the model");
    this.story.replaceChildren(
      el("section.verdict", {}, el("h2", { dir: "auto" }, question)),
      el("div.going", {}, el("span.spinner", { "aria-hidden": "true" }), el("p", {}, el("b", {}, strategy), " ", this.status, " ", time),
        el("button", { type: "button", id: "cancel", onclick: stop }, "Cancel")));
    this.clock = setInterval(() => { time.textContent = `${((performance.now() - began) / 1000).toFixed(1)} s`; }, 100);
  }

  // The server took the question: a tree without views, a list without steps.
  begun(html) {
    const begun = pieces(html);
    this.#adopt(begun);
    this.story.append(...begun);
  }

  // A view that the model is shown now.
  view({ id, under, node, html }) {
    this.views[id] = node.box;
    this.tree.settle();
    this.#put(html, under);
    if (!this.following) return;
    this.tree.select(node.box, this.#scrolls());
    this.#draw(this.#proper([node.box]), node.title);
  }

  // A step, and the views of which it tells something.
  step({ step, html, views }) {
    this.steps.push(step);
    if (step.boxes.length === step.views.length) step.views.forEach((view, i) => { this.views[view] = step.boxes[i]; });
    this.status.textContent = step.name;
    const [item] = pieces(html);
    this.list.append(item);
    this.#button(item.firstChild, this.steps.length - 1);
    this.tree.settle();
    for (const view of views) this.#put(view);
    if (this.following) this.#mark(this.steps.length - 1);
    else this.#say();
  }

  end(run) {
    clearInterval(this.clock);
    this.run = run;
    this.steps = run.steps;
    Object.assign(this.views, run.boxes_of_views);
    const whole = pieces(run.html);
    const held = document.activeElement;
    const focused = this.tree.focused;
    this.#adopt(whole);
    this.story.replaceChildren(...whole);
    this.story.firstChild.after(this.actions = el("div.actions"));
    this.tree.focus(focused);
    if (held.isConnected && !focused) held.focus({ preventScroll: true });
    this.before.hidden = this.after.hidden = !run.steps.length;
    this.rest.hidden = !run.boxes.length;
    if (run.steps.length) this.select(run.steps.length - 1, false);
    if (this.following) this.column.scrollTop = 0;
    if (run.boxes.length) this.viewer.glide(around(run.boxes), 0.3);
  }

  // Makes what the server wrote into what can be stepped through.
  #adopt(sections) {
    const piece = el("div", {}, ...sections);
    this.looks.fill(piece, this.story);
    this.list = piece.querySelector(".steps") ?? el("ol");
    piece.querySelectorAll(".step").forEach((step, index) => this.#button(step, index));
    this.tree.take(piece.querySelector(".tree") ?? el("ul"));
    for (const phrase of piece.querySelectorAll(".phrase")) {
      const boxes = phrase.dataset.boxes.split(";").filter(Boolean).map((box) => box.split(",").map(Number));
      if (boxes.length) button(phrase, { title: phrase.title, onclick: () => this.#point(boxes, phrase.textContent) });
    }
    for (const crop of piece.querySelectorAll("figure[data-box]")) {
      const node = this.tree.nodes.get(crop.dataset.box);
      if (node) button(crop.querySelector(".pic"), { "aria-label": `Show ${node.title} in the picture`, onclick: () => this.pick(node) });
    }
  }

  #button(step, index) {
    button(step, { "data-step": index, onclick: () => this.choose(index) });
  }

  // The boxes of a phrase, on the picture.
  #point(boxes, words) {
    this.following = false;
    this.#draw(boxes, words.slice(0, 40));
    this.viewer.glide(around(boxes), 0.5);
  }

  #put(html, under) {
    const [item] = pieces(html);
    this.looks.fill(item, this.tree.list);
    this.tree.put(item, under);
  }

  stopped(words, again) {
    clearInterval(this.clock);
    this.tree.settle();
    this.story.querySelector(".going")?.replaceWith(el("p.stopped", { role: "alert" }, words, " ", el("button", { type: "button", onclick: again }, "Ask again")));
  }

  // Steps and views

  // What a person chose: the run goes on without moving it.
  choose(index) {
    this.following = false;
    this.select(index);
  }

  select(index, moving = true) {
    if (!this.steps.length) return;
    this.#mark(Math.min(this.steps.length - 1, Math.max(0, index)));
    if (!moving) return;
    this.list.querySelector(`[data-step="${this.at}"]`).scrollIntoView({ block: "nearest" });
    const boxes = this.#boxes(this.steps[this.at]);
    if (boxes.length) this.viewer.glide(around(boxes));
    else if (this.#last() && this.run.boxes.length) this.toAnswer();
    else this.viewer.whole();
  }

  move(by) {
    this.choose(this.at + by);
  }

  toAnswer() {
    if (this.run?.boxes.length) this.viewer.glide(around(this.run.boxes));
  }

  // A view of the tree: its box on the picture, its step, and the tree itself.
  pick(node, moving = true) {
    this.following = false;
    this.at = this.#stepOf(node);
    this.#current();
    this.tree.select(node.box, !moving && this.#scrolls());
    const proper = this.#proper([node.box]);
    this.#draw(proper, node.title);
    if (!moving) return;
    if (proper.length) this.viewer.glide(node.box, 0.6);
    else this.viewer.whole();
  }

  #tapped({ at, near }) {
    const there = this.#there(at, near);
    if (there) this.pick(there, false);
  }

  // The view whose box lies there, the smallest of those in sight.
  #there([x, y], near) {
    return [...this.tree.nodes.values()].filter(({ box }) => this.viewer.marks.some((mark) => same(mark.box, box))
      && box[0] - near <= x && x <= box[2] + near && box[1] - near <= y && y <= box[3] + near).sort((a, b) => area(a.box) - area(b.box))[0];
  }

  // Whether the story scrolls beside the picture; elsewhere scrolling would take the picture out of sight.
  #scrolls() {
    return getComputedStyle(this.column).overflowY === "auto";
  }

  // The step that looked at a node first; -1 for none.
  #stepOf({ box }) {
    return this.steps.findIndex((step) => step.views.some((view) => this.views[view] && same(this.views[view], box)));
  }

  #last() {
    return this.run && this.at === this.steps.length - 1;
  }

  #current() {
    for (const item of this.list.querySelectorAll(".step")) {
      item.setAttribute("aria-current", item.dataset.step === String(this.at) ? "step" : "false");
    }
  }

  // What was looked at until a step, and what is looked at in it.
  #mark(index) {
    this.at = index;
    this.#current();
    const step = this.steps[index];
    const now = this.#last() && this.run.boxes.length ? this.run.boxes : this.#boxes(step);
    this.tree.select(now[0] ?? (step.views.length ? this.views[step.views[0]] : null));
    this.#draw(now, this.#last() ? this.run.text.slice(0, 40) : step.name, this.#until(index));
  }

  // The boxes looked at before a step; all of them at the last one, and while the run goes on.
  #until(index) {
    return index >= this.steps.length - 1 ? undefined : this.steps.slice(0, index).flatMap((step) => this.#boxes(step));
  }

  #draw(now, label, past = [...this.steps.flatMap((step) => this.#boxes(step)), ...this.#proper([...this.tree.nodes.values()].map((node) => node.box))]) {
    const before = new Map(past.filter((box) => !now.some((one) => same(one, box))).map((box) => [String(box), box]));
    this.viewer.marks = [...[...before.values()].map((box) => ({ box, kind: "past" })), ...now.map((box) => ({ box, kind: "now", label }))];
    this.viewer.redraw();
    this.#say();
  }

  // The boxes of a step in the original.
  #boxes(step) {
    return this.#proper(step.boxes.length ? step.boxes : step.views.map((view) => this.views[view]).filter(Boolean));
  }

  // The whole picture is no box.
  #proper(boxes) {
    return boxes.filter((box) => !same(box, [0, 0, this.picture.width, this.picture.height]));
  }

  // Tools

  #tools() {
    const button = (label, text, does) => el("button", { type: "button", "aria-label": label, title: label, onclick: does }, text);
    this.before = button("Step before (k)", "‹", () => this.move(-1));
    this.after = button("Next step (j)", "›", () => this.move(1));
    this.rest = button("What the answer rests on (z)", "Answer", () => this.toAnswer());
    return el("div.tools", { role: "toolbar", "aria-label": "Picture" }, this.caption, el("span.buttons", {},
      this.before, this.after, this.rest,
      button("Draw a region to ask about (b)", "Region", () => this.viewer.draw(!this.viewer.drawing)),
      button("The whole picture (0)", "Whole", () => this.viewer.whole()),
      button("Farther (-)", "−", () => this.viewer.closer(1 / 1.6)), button("Closer (+)", "+", () => this.viewer.closer(1.6))));
  }

  #say() {
    if (!this.picture) return;
    const step = this.at >= 0 ? `step ${this.at + 1} of ${this.steps.length}${this.run ? "" : " so far"} · ` : "";
    const notes = this.picture.notes.map((note) => ` · ${note.replaceAll("_", " ")}`).join("");
    const text = `${step}${this.picture.width} × ${this.picture.height} · ${Math.round(this.viewer.at.scale * 100) || "<1"} %${notes}`;
    if (this.caption.textContent !== text) this.caption.textContent = text;
  }
}

// An element that is pressed, in place of one that is only read.
function button(old, attributes) {
  old.replaceWith(el(`button.${old.className.trim().replaceAll(" ", ".")}`, { type: "button", ...attributes }, ...old.childNodes));
}

const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);

function around(boxes) {
  return [0, 1].map((i) => Math.min(...boxes.map((box) => box[i]))).concat([2, 3].map((i) => Math.max(...boxes.map((box) => box[i]))));
}
