// The tiles of one picture: fetched when wanted, few at a time, the nearest first; kept until there are too many.

import { getBlob } from "./api.js";

const AT_ONCE = 6;
const KEPT = 160;

export class Tiles {
  constructor(picture, side, changed) {
    this.picture = picture;
    this.side = side;
    this.changed = changed;
    this.images = new Map();
    this.loading = new Map();
    this.failed = new Map();
    this.wanted = [];
  }

  // The tile if it is here.
  get(key) {
    const image = this.images.get(key);
    if (image) {
      this.images.delete(key);
      this.images.set(key, image);
    }
    return image;
  }

  // What the view needs now, most needed first. What is no longer needed is not waited for.
  want(keys) {
    const needed = new Set(keys);
    for (const [key, stop] of this.loading) if (!needed.has(key)) stop.abort();
    const now = performance.now();
    this.wanted = keys.filter((key) => !this.images.has(key) && !(this.failed.get(key) > now));
    this.#go();
  }

  get busy() {
    return this.loading.size > 0;
  }

  close() {
    this.wanted = [];
    for (const stop of this.loading.values()) stop.abort();
    for (const image of this.images.values()) image.close();
    this.images.clear();
  }

  #go() {
    for (const key of this.wanted) {
      if (this.loading.size >= AT_ONCE) return;
      if (!this.loading.has(key)) this.#load(key);
    }
  }

  async #load(key) {
    const stop = new AbortController();
    this.loading.set(key, stop);
    try {
      const blob = await getBlob(`/api/pictures/${this.picture.name}/tiles/${key}`, stop.signal);
      this.images.set(key, await createImageBitmap(blob));
      while (this.images.size > KEPT) this.#drop(this.images.keys().next().value);
    } catch (error) {
      if (error.name !== "AbortError") {
        this.failed.set(key, performance.now() + 3000);
        setTimeout(this.changed, 3100);
      }
    }
    this.loading.delete(key);
    this.wanted = this.wanted.filter((other) => other !== key);
    this.changed();
    this.#go();
  }

  #drop(key) {
    this.images.get(key).close();
    this.images.delete(key);
  }
}

// Which tiles cover a region of the original at a level, as "level/column/row", the middle first.
export function covering(picture, side, level, [left, top, right, bottom]) {
  const step = side * 2 ** level;
  const last = (length) => Math.ceil(length / step) - 1;
  const [c0, c1] = [Math.max(0, Math.floor(left / step)), Math.min(last(picture.width), Math.floor(right / step))];
  const [r0, r1] = [Math.max(0, Math.floor(top / step)), Math.min(last(picture.height), Math.floor(bottom / step))];
  const found = [];
  for (let row = r0; row <= r1; row++) for (let column = c0; column <= c1; column++) found.push([column, row]);
  const [x, y] = [(left + right) / 2 / step - 0.5, (top + bottom) / 2 / step - 0.5];
  found.sort((a, b) => Math.hypot(a[0] - x, a[1] - y) - Math.hypot(b[0] - x, b[1] - y));
  return found.map(([column, row]) => `${level}/${column}/${row}`);
}
