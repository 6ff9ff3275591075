// The pictures of views, as the model saw them. Those of one picture are fetched once, and stay while it is shown.

import { getBlob } from "./api.js";
import { el } from "./dom.js";

export class Looks {
  constructor() {
    this.name = "";
    this.addresses = new Map();
  }

  // From now on views of this picture, or clip.
  of(name) {
    if (name === this.name) return;
    for (const address of this.addresses.values()) address.then(URL.revokeObjectURL, () => {});
    this.addresses.clear();
    this.name = name;
  }

  // Fetches the pictures that a piece of a run only names. Those that `before` shows are taken over from it.
  fill(piece, before) {
    for (const image of piece.querySelectorAll("img[data-look]")) {
      const had = before?.querySelector(`img[src][data-look="${image.dataset.look}"]`);
      if (had) image.replaceWith(had);
      else this.#fetch(image);
    }
  }

  #fetch(image) {
    image.draggable = false;
    this.#address(image.dataset.look).then(
      (address) => { image.src = address; },
      () => image.replaceWith(el("span.note", {}, "The picture is no longer here.")),
    );
  }

  #address(query) {
    if (!this.addresses.has(query)) {
      // Of a clip it names the frames, too.
      const path = query.includes("/") ? query : `${this.name}/look?${query}`;
      const address = getBlob(`/api/pictures/${path}`).then((blob) => URL.createObjectURL(blob));
      address.catch(() => this.addresses.delete(query));
      this.addresses.set(query, address);
    }
    return this.addresses.get(query);
  }
}
