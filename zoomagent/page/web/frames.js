// Frames of a clip: what the server calls them, and how large they are. A clip is given as all of it: `grid` x `grid` frames.
// A sound is the same with spectrograms of its stretches.

const HEARD = 512;
const AROUND = 2500;

// One frame, at a time in milliseconds; of a sound what is around it.
export function frameAt(clip, time) {
  const at = Math.min(Math.max(0, Math.round(time)), clip.duration - 1);
  if (clip.sound) return `${clip.asked}-${Math.max(0, at - AROUND)}-${Math.min(clip.duration, at + AROUND)}-1-sound`;
  return `${clip.asked}-${at}-${at + 1}-1`;
}

// The frames of this name as a picture to be shown.
export function sheetOf(clip, name, side) {
  const grid = Number(name.split("-")[3]);
  const cell = (length) => (name.endsWith("-sound") ? HEARD : length / clip.grid);
  const [width, height] = [clip.width, clip.height].map((length) => cell(length) * grid);
  return { ...clip, name, width, height, levels: 1 + Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / side))) };
}

// Start and end of what frames show; and those words of it that people read.
export const momentOf = (name) => name.split("-").slice(1, 3).map(Number);

export function momentWords(name) {
  const [start, end] = momentOf(name);
  return name.split("-")[3] === "1" && !name.endsWith("-sound") ? timeWords(Math.floor((start + end) / 2)) : `${timeWords(start)} to ${timeWords(end)}`;
}

// Milliseconds as `words` of the server has them: `7.25 s`, `2:03.5`, `1:02:03`.
export function timeWords(time) {
  const [hours, minutes, rest] = [Math.floor(time / 3600000), Math.floor(time / 60000) % 60, (time % 60000) / 1000];
  if (!hours && !minutes) return `${rest} s`;
  const padded = `${rest < 10 ? "0" : ""}${rest}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${padded}` : `${minutes}:${padded}`;
}
