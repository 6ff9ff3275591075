"use strict";
(() => {
  const stage = document.getElementById("stage");
  const button = document.getElementById("zoom");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let near = false;

  const numbers = (text) => text.split(" ").map(Number);

  function glide(to) {
    const from = numbers(stage.getAttribute("viewBox"));
    const began = performance.now();
    const frame = (now) => {
      const t = calm ? 1 : Math.min(1, (now - began) / 650);
      const eased = t < 0.5 ? 4 * t * t * t : 1 - (-2 * t + 2) ** 3 / 2;
      stage.setAttribute("viewBox", from.map((value, i) => value + (to[i] - value) * eased).join(" "));
      if (t < 1) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  function toggle() {
    near = !near;
    button.setAttribute("aria-pressed", String(near));
    button.firstChild.data = near ? "Whole picture " : "Zoom in ";
    glide(numbers(near ? stage.dataset.crop : stage.dataset.whole));
  }

  if (button) {
    button.hidden = false;
    button.addEventListener("click", toggle);
  }

  const mark = document.getElementById("crop-mark");
  const steps = [...document.querySelectorAll(".steps li")];
  for (const step of steps) {
    const light = (on) => mark && "marks" in step.dataset && mark.classList.toggle("lit", on);
    for (const name of ["focus", "mouseenter"]) step.addEventListener(name, () => light(true));
    for (const name of ["blur", "mouseleave"]) step.addEventListener(name, () => light(false));
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
    if (event.key === "z" && button) return toggle();
    const at = steps.indexOf(document.activeElement);
    const move = { j: 1, k: -1, ArrowDown: at < 0 ? 0 : 1, ArrowUp: at < 0 ? 0 : -1 }[event.key];
    if (!move || !steps.length) return;
    event.preventDefault();
    steps[Math.min(steps.length - 1, Math.max(0, at + move))].focus();
  });
})();
