// A picture of any size on a canvas: pan, zoom, boxes over it. Coordinates are pixels of the original.
//
//   const viewer = new Viewer(canvas, 512);
//   viewer.show(picture); viewer.marks = [{ box, kind: "now" }]; viewer.glide(box);
//
// The state is the middle of what is shown (x, y) and the scale in screen pixels per pixel of the original.

import { Tiles, covering } from "./tiles.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const AMBER = "#ffb020";
const CLOSEST = 24;

export class Viewer extends EventTarget {
  constructor(canvas, side) {
    super();
    this.canvas = canvas;
    this.side = side;
    this.pen = canvas.getContext("2d");
    this.picture = null;
    this.marks = [];
    this.about = [];
    this.drawing = false;
    this.draft = null;
    this.at = { x: 0, y: 0, scale: 1 };
    this.pointers = new Map();
    this.linked = null;
    this.#resized();
    new ResizeObserver(() => this.#resized()).observe(canvas);
    this.#listen();
  }

  show(picture) {
    if (this.picture?.name === picture?.name) return;
    this.tiles?.close();
    this.picture = picture;
    this.marks = this.about = [];
    this.tiles = picture && new Tiles(picture, this.side, () => this.redraw());
    if (picture) this.whole(false);
  }

  whole(gliding = true) {
    this.#go(this.#fitting([0, 0, this.picture.width, this.picture.height], 1), gliding);
  }

  // To a box, with so much around it that one sees where it is.
  glide(box, share = 0.42) {
    const to = this.#fitting(box, share);
    to.scale = Math.max(Math.min(to.scale, CLOSEST / 2), this.#least());
    this.#go(to, true);
  }

  // By a factor, around a point of the screen that stays where it is.
  closer(factor, x = this.width / 2, y = this.height / 2) {
    if (!this.picture) return;
    const scale = Math.min(CLOSEST, Math.max(this.#least(), this.at.scale * factor));
    const [px, py] = this.toPicture(x, y);
    this.#still();
    this.#set({ x: px - (x - this.width / 2) / scale, y: py - (y - this.height / 2) / scale, scale });
  }

  pan(dx, dy) {
    if (!this.picture) return;
    this.#still();
    const { x, y, scale } = this.at;
    this.#set({ x: x - dx / scale, y: y - dy / scale, scale });
  }

  toPicture(x, y) {
    return [this.at.x + (x - this.width / 2) / this.at.scale, this.at.y + (y - this.height / 2) / this.at.scale];
  }

  redraw() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.#draw();
    });
  }

  // Taken over from the other picture of a comparison: the same place, said without an echo.
  follow(at) {
    this.#still();
    this.at = { ...at };
    this.redraw();
    this.dispatchEvent(new Event("moved"));
  }

  // State

  #still() {
    cancelAnimationFrame(this.moving);
    this.aimed = null;
  }

  #least() {
    return Math.min(1, this.#fitting([0, 0, this.picture.width, this.picture.height], 1).scale);
  }

  #fitting([left, top, right, bottom], share) {
    const scale = share * Math.min(this.width / (right - left), this.height / (bottom - top));
    return { x: (left + right) / 2, y: (top + bottom) / 2, scale };
  }

  #go(to, gliding) {
    this.#still();
    if (!gliding || calm.matches || !this.width) return this.#set(to);
    const from = { ...this.at };
    const began = performance.now();
    const frame = (now) => {
      const t = Math.min(1, Math.max(0, (now - began) / 600));
      const eased = t < 0.5 ? 4 * t ** 3 : 1 - (-2 * t + 2) ** 3 / 2;
      const scale = from.scale * (to.scale / from.scale) ** eased;
      // The middle moves so that what is aimed at comes in at the speed of the zoom.
      const part = Math.abs(to.scale - from.scale) < 1e-9 ? eased : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / to.scale);
      this.#set({ x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part, scale }, t < 1);
      this.aimed = t < 1 ? to : null;
      if (t < 1) this.moving = requestAnimationFrame(frame);
    };
    this.aimed = to;
    this.moving = requestAnimationFrame(frame);
  }

  #set(at, passing = false) {
    this.at = passing ? at : this.#held(at);
    this.linked?.follow(this.at);
    this.redraw();
    this.dispatchEvent(new Event("moved"));
  }

  // Some of the picture is always in sight.
  #held({ x, y, scale }) {
    const within = (value, length, shown) => {
      const half = shown / scale / 2;
      return 2 * half >= length ? length / 2 : Math.min(length - half, Math.max(half, value));
    };
    return { x: within(x, this.picture.width, this.width), y: within(y, this.picture.height, this.height), scale };
  }

  #resized() {
    const first = !this.width;
    const { width, height } = this.canvas.getBoundingClientRect();
    const fitted = this.picture && !first && this.at.scale <= this.#least() * 1.01;
    Object.assign(this, { width, height, ratio: devicePixelRatio });
    this.canvas.width = Math.max(1, Math.round(width * this.ratio));
    this.canvas.height = Math.max(1, Math.round(height * this.ratio));
    if (!this.picture || !width || this.aimed) return this.redraw();
    if (first || fitted) this.whole(false);
    else this.#set(this.at);
  }

  // Drawing

  #draw() {
    const { pen, at } = this;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.picture || !this.width) return;
    const k = at.scale * this.ratio;
    const origin = [this.canvas.width / 2 - at.x * k, this.canvas.height / 2 - at.y * k];
    const seen = [...this.toPicture(0, 0), ...this.toPicture(this.width, this.height)];
    const level = Math.min(this.picture.levels - 1, Math.max(0, Math.floor(Math.log2(1 / k) + 0.35)));
    pen.imageSmoothingEnabled = k < 4;
    pen.imageSmoothingQuality = k < 1 ? "medium" : "low";
    const top = `${this.picture.levels - 1}/0/0`;
    const fine = covering(this.picture, this.side, level, seen);
    const ready = fine.every((key) => this.tiles.images.has(key));
    // Until all fine tiles are here, coarser ones lie below them.
    for (let coarse = ready ? level : this.picture.levels - 1; coarse >= level; coarse--) {
      for (const key of covering(this.picture, this.side, coarse, seen)) this.#tile(key, origin, k);
    }
    this.tiles.want([top, ...fine.filter((key) => key !== top)]);
    this.canvas.dataset.ready = String(ready);
    for (const mark of this.marks) this.#mark(mark, origin, k);
    const drawn = this.draft ? [...this.about, this.#drafted()] : this.about;
    drawn.forEach((box, number) => this.#mark({ box, kind: "about", label: `{${number}}` }, origin, k));
  }

  #tile(key, [x, y], k) {
    const image = this.tiles.get(key);
    if (!image) return;
    const [level, column, row] = key.split("/").map(Number);
    const step = this.side * 2 ** level;
    const [left, top] = [column * step, row * step];
    const [right, bottom] = [Math.min(this.picture.width, left + step), Math.min(this.picture.height, top + step)];
    const [x0, y0] = [Math.round(x + left * k), Math.round(y + top * k)];
    this.pen.drawImage(image, x0, y0, Math.round(x + right * k) - x0, Math.round(y + bottom * k) - y0);
  }

  #mark({ box, kind, label }, [x, y], k) {
    const { pen, ratio } = this;
    const [left, top, right, bottom] = [x + box[0] * k, y + box[1] * k, x + box[2] * k, y + box[3] * k];
    const rect = [left, top, Math.max(right - left, 3 * ratio), Math.max(bottom - top, 3 * ratio)];
    const { width, colour, dash } = KINDS[kind];
    pen.setLineDash([]);
    pen.lineWidth = (width + (kind === "past" ? 1 : 2.5)) * ratio;
    pen.strokeStyle = kind === "past" ? "rgb(0 0 0 / .35)" : "rgb(0 0 0 / .6)";
    pen.strokeRect(...rect);
    pen.setLineDash(dash.map((length) => length * ratio));
    pen.lineWidth = width * ratio;
    pen.strokeStyle = colour;
    pen.strokeRect(...rect);
    pen.setLineDash([]);
    if (kind === "now") this.#guides(rect);
    if (label) this.#label(label, left, top, colour);
  }

  // From the borders to the box, so that the smallest one is found at once.
  #guides([left, top, width, height]) {
    const { pen, ratio, canvas } = this;
    const [cx, cy] = [left + width / 2, top + height / 2];
    pen.setLineDash([3 * ratio, 5 * ratio]);
    pen.lineWidth = ratio;
    pen.strokeStyle = AMBER;
    pen.globalAlpha = 0.8;
    pen.beginPath();
    for (const line of [[0, cy, left, cy], [left + width, cy, canvas.width, cy], [cx, 0, cx, top], [cx, top + height, cx, canvas.height]]) {
      pen.moveTo(line[0], line[1]);
      pen.lineTo(line[2], line[3]);
    }
    pen.stroke();
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  #label(text, x, y, colour) {
    const { pen, ratio } = this;
    pen.font = `600 ${12 * ratio}px ui-monospace, Menlo, Consolas, monospace`;
    const width = pen.measureText(text).width + 8 * ratio;
    const height = 18 * ratio;
    const [left, top] = [Math.max(0, x), Math.max(0, y - height - 3 * ratio)];
    pen.fillStyle = "rgb(0 0 0 / .8)";
    pen.fillRect(left, top, width, height);
    pen.fillStyle = colour;
    pen.fillText(text, left + 4 * ratio, top + 13 * ratio);
  }

  // Hands

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      if (!this.picture) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      this.closer(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0022)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => this.closer(2, event.offsetX, event.offsetY));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      if (this.picture && (event.shiftKey || this.drawing) && !this.pointers.size) {
        const start = this.toPicture(event.offsetX, event.offsetY);
        this.draft = [start, start];
        return;
      }
      this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      this.still = this.pointers.size === 1 ? [event.offsetX, event.offsetY] : null;
    });
    canvas.addEventListener("pointerup", (event) => this.#tapped(event));
    canvas.addEventListener("pointermove", (event) => this.#dragged(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => {
        this.pointers.delete(event.pointerId);
        this.draft = null;
      });
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  // The box between where the drawing began and where it is, in whole pixels of the picture.
  #drafted() {
    const ends = (axis, length) => this.draft.map((point) => Math.min(length, Math.max(0, point[axis]))).sort((a, b) => a - b);
    const [[left, right], [top, bottom]] = [ends(0, this.picture.width), ends(1, this.picture.height)];
    return [Math.floor(left), Math.floor(top), Math.ceil(right), Math.ceil(bottom)];
  }

  // The box that was drawn; a press that did not drag draws none.
  #drawn() {
    const box = this.#drafted();
    this.draft = null;
    this.draw(false);
    if (box[2] - box[0] > 1 && box[3] - box[1] > 1) this.dispatchEvent(new CustomEvent("drawn", { detail: box }));
    this.redraw();
  }

  // Whether the next drag draws a box and does not move the picture.
  draw(on) {
    this.drawing = on;
    this.canvas.classList.toggle("drawing", on);
  }

  // A press that did not drag: where in the picture, and how many of its pixels a finger may be off.
  #tapped({ offsetX: x, offsetY: y, pointerType }) {
    if (this.draft) return this.#drawn();
    if (!this.picture || !this.still || Math.hypot(x - this.still[0], y - this.still[1]) > 5) return;
    const near = (pointerType === "touch" ? 16 : 5) / this.at.scale;
    this.dispatchEvent(new CustomEvent("tapped", { detail: { at: this.toPicture(x, y), near } }));
  }

  #dragged(event) {
    if (this.draft) {
      this.draft = [this.draft[0], this.toPicture(event.offsetX, event.offsetY)];
      return this.redraw();
    }
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY];
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const spread = (point) => Math.max(8, Math.hypot(point[0] - other[0], point[1] - other[1]));
      this.closer(spread(now) / spread(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    const part = other ? 0.5 : 1;
    this.pan((now[0] - before[0]) * part, (now[1] - before[1]) * part);
    this.pointers.set(event.pointerId, now);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.picture) return;
    const step = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] }[event.key];
    const factor = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 }[event.key];
    if (step) this.pan(...step);
    else if (factor) this.closer(factor);
    else if (event.key === "0") this.whole();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

const KINDS = {
  past: { width: 1, colour: "#fff", dash: [3, 4] },
  about: { width: 2, colour: "#6cf", dash: [] },
  now: { width: 2.5, colour: AMBER, dash: [] },
};
