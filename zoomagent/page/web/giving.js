// How a picture or a video gets here: dropped, pasted, chosen; the example; or a frame of a video that is taken in the
// browser.

import { $, el } from "./dom.js";

// Calls `given(blob, name)` for a picture or a video, `example()` for the packaged one, `trouble(text)` for what is neither.
export function listen({ given, example, trouble }) {
  const empty = el("div.empty", {},
    el("p.big", {}, "Drop a picture"),
    el("p", {}, "or a video or a sound; or paste one. Large ones are welcome: up to 178 megapixels."),
    el("p.buttons", {},
      el("button.primary", { type: "button", id: "choose", onclick: () => $("file").click() }, "Choose a picture"),
      el("button", { type: "button", id: "example", onclick: example }, "Take the example")));
  document.querySelector("#first .stage").append(empty);

  const take = (file) => {
    if (!file) return;
    if (file.type.startsWith("image/") || isSound(file)) given(file, file.name);
    else if (isVideo(file)) frameOrAll(file).then((blob) => blob && given(blob, file.name));
    else trouble("This is neither a picture, a video nor a sound. Give a JPEG, PNG, WebP, MP4, WebM or WAV, say.");
  };
  $("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/") || isVideo(one) || isSound(one));
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  let inside = 0;
  const over = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragenter", () => over(++inside > 0));
  addEventListener("dragleave", () => over(--inside > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over((inside = 0) > 0);
    take(event.dataTransfer.files[0]);
  });
}

// Some browsers know no type of files that they cannot play.
const isVideo = ({ type, name }) => type.startsWith("video/") || (!type && /\.(mp4|mov|mkv|webm|avi)$/i.test(name));

const isSound = ({ type, name }) => type.startsWith("audio/") || (!type && /\.(wav|flac|mp3|ogg)$/i.test(name));

// A frame of a video as a PNG, pixel for pixel; or the video's file; null when neither was wanted. A video that the browser
// cannot play is given as it is: the server may read it.
async function frameOrAll(file) {
  const dialog = $("video");
  const video = dialog.querySelector("video");
  const slider = dialog.querySelector("input");
  const said = dialog.querySelector("output");
  const address = URL.createObjectURL(file);
  try {
    await new Promise((ready, failed) => {
      video.onloadeddata = ready;
      video.onerror = failed;
      video.src = address;
    });
  } catch {
    URL.revokeObjectURL(address);
    return file;
  }
  slider.max = Number.isFinite(video.duration) ? video.duration : 0;
  slider.value = 0;
  const tell = () => { said.textContent = `${video.currentTime.toFixed(2)} s · ${video.videoWidth} × ${video.videoHeight}`; };
  slider.oninput = () => { video.currentTime = Number(slider.value); };
  video.onseeked = tell;
  tell();
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  const chosen = { use: () => grabbed(video), all: () => file }[dialog.returnValue];
  const blob = chosen ? await chosen() : null;
  video.removeAttribute("src");
  URL.revokeObjectURL(address);
  return blob;
}

function grabbed(video) {
  const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
