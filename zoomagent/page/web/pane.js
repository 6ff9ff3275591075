// One picture or clip with one run: the canvas, its tools, and the story beside it. A comparison has two.
//
// Of a clip, `given` is all of it; `picture` is what is shown of it just now: those frames in which the boxes lie, or the
// frame of a time. A place is a box and what it lies in, `{ of, box }`.

import { el, pieces } from "./dom.js";
import { frameAt, momentOf, momentWords, sheetOf, timeWords } from "./frames.js";
import { Looks } from "./looks.js";
import { Tree, placeOf } from "./tree.js";
import { Viewer } from "./viewer.js";

const same = (a, b) => a.every((value, index) => value === b[index]);

export class Pane {
  constructor(section, side) {
    this.section = section;
    this.side = side;
    this.story = section.querySelector(".run");
    this.canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": "No picture yet" });
    this.caption = el("p.caption", {});
    this.tools = this.#tools();
    this.tools.hidden = true;
    this.bar = this.#bar();
    section.querySelector(".stage").append(this.canvas, this.bar, this.tools);
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

  show(given) {
    if (given.asked !== this.given?.asked) this.forget();
    this.given = given;
    this.looks.of(given.asked);
    this.tools.hidden = false;
    this.bar.hidden = !given.duration;
    this.region.hidden = Boolean(given.duration);
    if (given.duration) {
      this.time.max = given.duration - 1;
      this.time.step = given.frame_gap;
    }
    this.section.classList.add("has-picture");
    this.#turn(given);
  }

  // What is shown from now on of what was given.
  #turn(picture) {
    this.picture = picture;
    this.viewer.show(picture);
    if (picture.duration) {
      const [start, end] = momentOf(picture.name);
      this.time.value = (start + end) / 2;
      this.time.setAttribute("aria-valuetext", momentWords(picture.name));
    }
    const sides = `${picture.width} by ${picture.height} pixels`;
    const what = picture.duration ? `${picture.name.endsWith("-sound") ? "The sound" : "Frames of the clip"}, ${momentWords(picture.name)}` : "The picture";
    this.canvas.setAttribute("aria-label", `${what}, ${sides}. Arrow keys move, plus and minus zoom, 0 shows the whole.`);
    this.#say();
  }

  // To what a place lies in, where that is a clip's.
  #reveal(place) {
    if (place?.of && this.given.duration && place.of !== this.picture.name) this.#turn(sheetOf(this.given, place.of, this.side));
  }

  // The frame of a time, which a person chose.
  scrub(time) {
    this.following = false;
    this.#turn(sheetOf(this.given, frameAt(this.given, time), this.side));
    this.#draw([], "");
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
    this.spans.replaceChildren();
    this.story.replaceChildren();
    for (const name of ["before", "after", "rest"]) this[name].hidden = true;
  }

  // A run

  begin(question, strategy, stop) {
    this.forget();
    this.#turn(this.given);
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
    this.views[id] = placeOf(node.key);
    this.tree.settle();
    this.#put(html, under);
    if (!this.following) return;
    this.tree.select(node.key, this.#scrolls());
    this.#reveal(this.views[id]);
    this.#draw(this.#proper([this.views[id]]), node.title);
  }

  // A step, and the views of which it tells something.
  step({ step, html, views }) {
    this.steps.push(step);
    if (step.boxes.length === step.views.length) step.views.forEach((view, i) => { this.views[view] = this.#own(step.boxes[i]); });
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
    for (const [view, key] of Object.entries(run.keys_of_views)) this.views[view] = placeOf(key);
    this.#span(run.times);
    this.#reveal(this.#own([]));
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
    for (const bar of piece.querySelectorAll(".bar.clip")) {
      bar.addEventListener("click", ({ clientX }) => {
        const { left, width } = bar.getBoundingClientRect();
        this.scrub(((clientX - left) / width) * this.given.duration);
      });
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
    this.#draw(boxes.map((box) => this.#own(box)), words.slice(0, 40));
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
    const places = this.#proper(this.#places(this.steps[this.at]));
    if (places.length) this.viewer.glide(around(places.map(({ box }) => box)));
    else if (this.#last() && this.run.boxes.length) this.toAnswer();
    else this.viewer.whole();
  }

  move(by) {
    this.choose(this.at + by);
  }

  // All of the picture, or clip.
  whole() {
    if (this.picture.name !== this.given.name) {
      this.#turn(this.given);
      this.#draw([], "");
    }
    this.viewer.whole();
  }

  toAnswer() {
    if (!this.run?.boxes.length) return;
    const places = this.run.boxes.map((box) => this.#own(box));
    if (!this.#isHere(places[0])) {
      this.#reveal(places[0]);
      this.#draw(places, this.run.text.slice(0, 40));
    }
    this.viewer.glide(around(this.run.boxes));
  }

  // A view of the tree: its box on the picture, its step, and the tree itself.
  pick(node, moving = true) {
    this.following = false;
    this.at = this.#stepOf(node);
    this.#current();
    this.tree.select(node.key, !moving && this.#scrolls());
    this.#reveal(node);
    const proper = this.#proper([node]);
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
    return [...this.tree.nodes.values()].filter((node) => this.#isHere(node)).filter(({ box }) => this.viewer.marks.some((mark) => same(mark.box, box))
      && box[0] - near <= x && x <= box[2] + near && box[1] - near <= y && y <= box[3] + near).sort((a, b) => area(a.box) - area(b.box))[0];
  }

  // Whether the story scrolls beside the picture; elsewhere scrolling would take the picture out of sight.
  #scrolls() {
    return getComputedStyle(this.column).overflowY === "auto";
  }

  // The step that looked at a node first; -1 for none.
  #stepOf(node) {
    return this.steps.findIndex((step) => step.views.some((view) => this.views[view] && alike(this.views[view], node)));
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
    const places = this.#last() && this.run.boxes.length ? this.run.boxes.map((box) => this.#own(box)) : this.#places(this.steps[index]);
    const [first] = [...this.#proper(places), ...places];
    this.tree.select(first ? this.#keyOf(first) : null);
    this.#reveal(first);
    this.#draw(this.#proper(places), this.#last() ? this.run.text.slice(0, 40) : this.steps[index].name, this.#until(index));
  }

  // The boxes looked at before a step; all of them at the last one, and while the run goes on.
  #until(index) {
    return index >= this.steps.length - 1 ? undefined : this.steps.slice(0, index).flatMap((step) => this.#places(step));
  }

  #draw(now, label, past = [...this.steps.flatMap((step) => this.#places(step)), ...this.tree.nodes.values()]) {
    const before = new Map(this.#proper(past).filter((place) => !now.some((one) => alike(one, place))).map(({ box }) => [String(box), box]));
    const shown = now.filter((place) => this.#isHere(place));
    this.viewer.marks = [...[...before.values()].map((box) => ({ box, kind: "past" })), ...shown.map(({ box }) => ({ box, kind: "now", label }))];
    this.viewer.redraw();
    this.#say();
  }

  // Where a step looked.
  #places(step) {
    return step.boxes.length ? step.boxes.map((box) => this.#own(box)) : step.views.map((view) => this.views[view]).filter(Boolean);
  }

  // A box of the answer's picture.
  #own(box) {
    return { of: this.given.duration ? this.run?.shown ?? this.picture.name : null, box };
  }

  #keyOf({ of, box }) {
    return of ? `${of}/${box.join(",")}` : box.join(",");
  }

  // Whether a place lies in what is shown.
  #isHere({ of }) {
    return !of || of === this.picture.name;
  }

  // Those of what is shown; all of it is no box.
  #proper(places) {
    return places.filter((place) => this.#isHere(place) && !same(place.box, [0, 0, this.picture.width, this.picture.height]));
  }

  // Tools

  #tools() {
    const button = (label, text, does) => el("button", { type: "button", "aria-label": label, title: label, onclick: does }, text);
    this.before = button("Step before (k)", "‹", () => this.move(-1));
    this.after = button("Next step (j)", "›", () => this.move(1));
    this.rest = button("What the answer rests on (z)", "Answer", () => this.toAnswer());
    this.region = button("Draw a region to ask about (b)", "Region", () => this.viewer.draw(!this.viewer.drawing));
    return el("div.tools", { role: "toolbar", "aria-label": "Picture" }, this.caption, el("span.buttons", {},
      this.before, this.after, this.rest,
      this.region,
      button("The whole picture (0)", "Whole", () => this.whole()),
      button("Farther (-)", "−", () => this.viewer.closer(1 / 1.6)), button("Closer (+)", "+", () => this.viewer.closer(1.6))));
  }

  // Of a clip: the time that is shown, and when things are there.
  #bar() {
    this.spans = el("div.spans", { "aria-hidden": "true" });
    this.time = el("input", { type: "range", min: 0, value: 0, "aria-label": "Time in the clip", onchange: () => this.scrub(Number(this.time.value)) });
    return el("div.scrub", { hidden: true }, this.spans, this.time);
  }

  #span(times) {
    this.spans.replaceChildren(...times.flatMap(({ phrase, spans }) => spans.map(({ x, width }) => {
      const span = el("span", { title: phrase });
      Object.assign(span.style, { left: `${x / 10}%`, width: `${width / 10}%` });
      return span;
    })));
  }

  #say() {
    if (!this.picture) return;
    const step = this.at >= 0 ? `step ${this.at + 1} of ${this.steps.length}${this.run ? "" : " so far"} · ` : "";
    const notes = this.picture.notes.map((note) => ` · ${note.replaceAll("_", " ")}`).join("");
    const frames = this.picture.duration ? `${momentWords(this.picture.name)} of ${timeWords(this.picture.duration)} · ` : "";
    const text = `${step}${frames}${this.picture.width} × ${this.picture.height} · ${Math.round(this.viewer.at.scale * 100) || "<1"} %${notes}`;
    if (this.caption.textContent !== text) this.caption.textContent = text;
  }
}

// An element that is pressed, in place of one that is only read.
function button(old, attributes) {
  old.replaceWith(el(`button.${old.className.trim().replaceAll(" ", ".")}`, { type: "button", ...attributes }, ...old.childNodes));
}

const alike = (a, b) => (a.of ?? null) === (b.of ?? null) && same(a.box, b.box);

const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);

function around(boxes) {
  return [0, 1].map((i) => Math.min(...boxes.map((box) => box[i]))).concat([2, 3].map((i) => Math.max(...boxes.map((box) => box[i]))));
}
