// The server: JSON, files, and a run's lines. Every failure becomes a Trouble that says what to do.

import { $ } from "./dom.js";

export class Trouble extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

const GONE = "The server does not answer. See whether `zoomagent serve page` still runs, then try again.";

async function call(path, options = {}, again = true) {
  const key = sessionStorage.getItem("key");
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(GONE, "unreachable");
  }
  if (response.status === 401 && again) {
    await askKey(key);
    return call(path, options, sessionStorage.getItem("key") !== key);
  }
  if (!response.ok) throw await troubleOf(response);
  return response;
}

async function troubleOf(response) {
  try {
    const { error } = await response.json();
    return new Trouble(error.message, error.code);
  } catch {
    return new Trouble(`The server answered with status ${response.status}. Try again; its log says more.`, "status");
  }
}

let asking = null;

// One dialog for all that wait for a key. `refused` is the key that did not do.
function askKey(refused) {
  if (sessionStorage.getItem("key") !== refused) return Promise.resolve();
  asking ??= new Promise((done) => {
    const dialog = $("key");
    dialog.addEventListener("close", () => {
      const given = dialog.querySelector("input").value;
      if (given) sessionStorage.setItem("key", given);
      dialog.querySelector("input").value = "";
      asking = null;
      done();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

export const getJson = async (path) => (await call(path)).json();
export const getBlob = async (path, signal) => (await call(path, { signal })).blob();
export const addPicture = async (blob) =>
  (await call("/api/pictures", { method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" } })).json();
export const addExample = async () => (await call("/api/example", { method: "POST" })).json();
export const deleteRun = (id) => call(`/api/kept/${id}`, { method: "DELETE" });
export const cancelRun = (id) => call(`/api/runs/${id}`, { method: "DELETE" });

export const GOING = new Set(["begun", "view", "step"]);

// The events of a new run, one by one. Aborting `signal` ends them, and the run.
export async function* askRun(asked, signal) {
  const response = await call("/api/runs", {
    method: "POST", body: JSON.stringify(asked), headers: { "Content-Type": "application/json" }, signal,
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      break;
    }
    if (part.done) break;
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const event = JSON.parse(line);
      ended ||= !GOING.has(event.event);
      yield event;
    }
  }
  if (!ended) throw new Trouble("The run broke off: the server went away, or met a bug that its log tells. Ask again.", "broken");
}
