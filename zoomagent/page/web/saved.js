// The list of saved runs: looked through by words, each with its small picture, to open, set beside, or delete.

import { deleteRun, getBlob, getJson } from "./api.js";
import { $, el } from "./dom.js";

// `open(id)` and `beside(id)` show a run; `beside` is null where there is none to set it beside. `tried` tells trouble.
export async function listSaved({ open, beside, tried }) {
  const dialog = $("saved");
  const words = $("saved-words");
  const does = { open, beside, tried, close: () => dialog.close() };
  const fill = () => tried(async () => show(await getJson(`/api/runs?words=${encodeURIComponent(words.value)}`), does, fill));
  words.value = "";
  words.oninput = fill;
  await fill();
  dialog.showModal();
}

function show(runs, does, again) {
  for (const image of document.querySelectorAll("#saved img")) URL.revokeObjectURL(image.src);
  const none = $("saved-words").value ? "None holds these words." : "None yet. Every answered question is kept here.";
  $("saved").querySelector(".list").replaceChildren(
    runs.length ? el("ul", {}, runs.map((run) => entry(run, does, again))) : el("p", {}, none));
}

function entry(run, does, again) {
  const then = (work) => () => {
    does.close();
    work(run.id);
  };
  const details = [run.name, run.strategy, run.model, run.sure, moment(run.id)].filter(Boolean).join(" · ");
  return el("li", {}, small(run),
    el("div", {},
      el("p", { dir: "auto" }, el("b", {}, run.text), ` ${run.question}`),
      el("p.note", { dir: "auto" }, details),
      el("span.buttons", {},
        el("button", { type: "button", onclick: then(does.open) }, "Open"),
        does.beside && el("button", { type: "button", onclick: then(does.beside) }, "Beside this one"),
        remover(run, does, again))));
}

// The first press asks, the second deletes.
function remover(run, does, again) {
  const button = el("button", { type: "button", "aria-label": `Delete the run: ${run.question}` }, "Delete");
  button.addEventListener("click", () => {
    if (button.textContent === "Delete") button.textContent = "Delete for good?";
    else does.tried(() => deleteRun(run.id)).then(again);
  });
  button.addEventListener("blur", () => { button.textContent = "Delete"; });
  return button;
}

// Runs of old have no small picture.
function small(run) {
  const image = el("img", { alt: "", draggable: "false", hidden: true });
  getBlob(`/api/runs/${run.id}/thumbnail.jpg`).then((blob) => {
    image.src = URL.createObjectURL(blob);
    image.hidden = false;
  }, () => {});
  return el("span.small", {}, image);
}

const moment = (id) => `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)} ${id.slice(9, 11)}:${id.slice(11, 13)}`;
