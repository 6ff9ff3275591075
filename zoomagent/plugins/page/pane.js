// One picture with one run: the canvas, its tools, and the story beside it. A comparison has two.

import { el } from "./dom.js";
import * as story from "./story.js";
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
    this.forget();
  }

  show(picture) {
    if (picture.name !== this.picture?.name) this.forget();
    this.picture = picture;
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
    this.views = {};
    this.at = -1;
    this.viewer.marks = [];
    this.viewer.redraw();
    this.story.replaceChildren();
    for (const name of ["before", "after", "rest"]) this[name].hidden = true;
  }

  // A run

  begin(question, strategy) {
    this.forget();
    this.viewer.whole();
    const began = performance.now();
    const time = el("span", {}, "");
    this.status = el("span", {}, "Asking; the first question waits for the model");
    this.list = story.steps([], (index) => this.select(index));
    this.story.replaceChildren(
      el("section.verdict", {}, el("h2", { dir: "auto" }, question),
        el("p.going", {}, el("span.spinner", { "aria-hidden": "true" }), el("b", {}, strategy), " ", this.status, " ", time)),
      this.list);
    this.clock = setInterval(() => { time.textContent = `${((performance.now() - began) / 1000).toFixed(1)} s`; }, 100);
  }

  step(step) {
    this.steps.push(step);
    if (step.boxes.length === step.views.length) step.views.forEach((view, i) => { this.views[view] = step.boxes[i]; });
    this.status.textContent = step.name;
    const item = story.steps([step], () => {}).firstChild;
    const index = this.steps.length - 1;
    item.firstChild.dataset.step = index;
    item.firstChild.addEventListener("click", () => this.select(index));
    this.list.append(item);
    this.#mark(index);
  }

  end(run) {
    clearInterval(this.clock);
    this.run = run;
    this.steps = run.steps;
    Object.assign(this.views, run.boxes_of_views);
    const chosen = (node) => this.look(node.box, node.title);
    this.list = story.steps(run.steps, (index) => this.select(index));
    this.story.replaceChildren(...[
      story.verdict(run), this.actions = el("div.actions"), run.picture && story.evidence(run, chosen),
      run.steps.length ? el("section", {}, el("h3", {}, "Step by step"), this.list) : null,
      story.sides(run), story.checks(run), run.picture && story.views(run, chosen), story.cost(run),
    ].filter(Boolean));
    this.before.hidden = this.after.hidden = !run.steps.length;
    this.rest.hidden = !run.boxes.length;
    if (run.steps.length) this.select(run.steps.length - 1, false);
    if (run.boxes.length) this.viewer.glide(around(run.boxes), 0.3);
  }

  stopped(words, again) {
    clearInterval(this.clock);
    this.story.querySelector(".going")?.replaceWith(el("p.stopped", { role: "alert" }, words, " ", el("button", { type: "button", onclick: again }, "Ask again")));
  }

  // Steps

  select(index, moving = true) {
    if (!this.steps.length) return;
    this.#mark(Math.min(this.steps.length - 1, Math.max(0, index)));
    const item = this.list.querySelector(`[data-step="${this.at}"]`);
    if (moving) item.scrollIntoView({ block: "nearest" });
    const boxes = this.#boxes(this.steps[this.at]);
    if (!moving) return;
    if (boxes.length) this.viewer.glide(around(boxes));
    else if (this.#last() && this.run.boxes.length) this.toAnswer();
    else this.viewer.whole();
  }

  move(by) {
    this.select(this.at + by);
  }

  toAnswer() {
    if (this.run?.boxes.length) this.viewer.glide(around(this.run.boxes));
  }

  look(box, title) {
    this.viewer.marks = [{ box, kind: "now", label: title }];
    if (same(box, [0, 0, this.picture.width, this.picture.height])) this.viewer.whole();
    else this.viewer.glide(box, 0.6);
  }

  #last() {
    return this.run && this.at === this.steps.length - 1;
  }

  // What was looked at until then, and what is looked at now.
  #mark(index) {
    this.at = index;
    for (const item of this.list.querySelectorAll(".step")) {
      item.setAttribute("aria-current", item.dataset.step === String(index) ? "step" : "false");
    }
    const now = this.#last() && this.run.boxes.length ? this.run.boxes : this.#boxes(this.steps[index]);
    const past = this.steps.slice(0, index).flatMap((step) => this.#boxes(step)).filter((box) => !now.some((one) => same(one, box)));
    const label = this.#last() ? this.run.text.slice(0, 40) : this.steps[index].name;
    this.viewer.marks = [...past.map((box) => ({ box, kind: "past" })), ...now.map((box) => ({ box, kind: "now", label }))];
    this.viewer.redraw();
    this.#say();
  }

  // The boxes of a step in the original; the whole picture is none.
  #boxes(step) {
    const boxes = step.boxes.length ? step.boxes : step.views.map((view) => this.views[view]).filter(Boolean);
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

function around(boxes) {
  return [0, 1].map((i) => Math.min(...boxes.map((box) => box[i]))).concat([2, 3].map((i) => Math.max(...boxes.map((box) => box[i]))));
}
