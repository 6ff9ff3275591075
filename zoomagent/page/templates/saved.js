"use strict";
(() => {
  const stage = document.getElementById("stage");
  const button = document.getElementById("zoom");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const path = stage ? stage.dataset.path.split("|").map((box) => box.split(" ").map(Number)) : [];
  let at = 0;
  let moving = 0;

  function glide(to) {
    const from = stage.getAttribute("viewBox").split(" ").map(Number);
    const began = performance.now();
    const frame = (now) => {
      const t = calm ? 1 : Math.min(1, Math.max(0, (now - began) / 650));
      const eased = t < 0.5 ? 4 * t * t * t : 1 - (-2 * t + 2) ** 3 / 2;
      stage.setAttribute("viewBox", from.map((value, i) => value + (to[i] - value) * eased).join(" "));
      if (t < 1) moving = requestAnimationFrame(frame);
    };
    cancelAnimationFrame(moving);
    moving = requestAnimationFrame(frame);
  }

  function further() {
    at = (at + 1) % path.length;
    button.firstChild.data = at === 0 ? "Zoom in " : at === path.length - 1 ? "Whole picture " : "Zoom further ";
    glide(path[at]);
  }

  if (button) {
    button.hidden = false;
    button.addEventListener("click", further);
  }

  const mark = document.getElementById("crop-mark");
  const steps = [...document.querySelectorAll(".step")];
  for (const step of steps) {
    step.tabIndex = 0;
    const light = (on) => mark && "marks" in step.parentNode.dataset && mark.classList.toggle("lit", on);
    for (const name of ["focus", "mouseenter"]) step.addEventListener(name, () => light(true));
    for (const name of ["blur", "mouseleave"]) step.addEventListener(name, () => light(false));
  }

  // Words and boxes of a description belong together: either lights the other.
  for (const one of document.querySelectorAll("[data-phrase]")) {
    const light = (on) => document.querySelectorAll(`[data-phrase="${one.dataset.phrase}"]`).forEach((part) => part.classList.toggle("lit", on));
    for (const name of ["focus", "mouseenter"]) one.addEventListener(name, () => light(true));
    for (const name of ["blur", "mouseleave"]) one.addEventListener(name, () => light(false));
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
    if (event.key === "z" && button) return further();
    const here = steps.indexOf(document.activeElement);
    const move = { j: 1, k: -1, ArrowDown: here < 0 ? 0 : 1, ArrowUp: here < 0 ? 0 : -1 }[event.key];
    if (!move || !steps.length) return;
    event.preventDefault();
    steps[Math.min(steps.length - 1, Math.max(0, here + move))].focus();
  });
})();
