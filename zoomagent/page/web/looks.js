// The pictures of views, as the model saw them. Those of one picture are fetched once, and stay while it is shown.

import { getBlob } from "./api.js";
import { el } from "./dom.js";

export class Looks {
  constructor() {
    this.name = "";
    this.addresses = new Map();
  }

  // From now on views of this picture.
  of(name) {
    if (name === this.name) return;
    for (const address of this.addresses.values()) address.then(URL.revokeObjectURL, () => {});
    this.addresses.clear();
    this.name = name;
  }

  // The view of a node.
  image(node) {
    const [width, height] = node.size;
    const image = el("img", { alt: "", class: width < 200 ? "tiny" : "", width, height, draggable: "false" });
    this.#address(`box=${node.box.join(",")}&size=${width},${height}`).then(
      (address) => { image.src = address; },
      () => image.replaceWith(el("span.note", {}, "The picture is no longer here.")),
    );
    return image;
  }

  #address(query) {
    if (!this.addresses.has(query)) {
      const address = getBlob(`/api/pictures/${this.name}/look?${query}`).then((blob) => URL.createObjectURL(blob));
      address.catch(() => this.addresses.delete(query));
      this.addresses.set(query, address);
    }
    return this.addresses.get(query);
  }
}
