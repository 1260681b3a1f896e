"""The script of a page for reviewers: plain JavaScript, kept as text so that `code_hash` sees it.

Values of the page come as JSON and are shown through `textContent` and `style` properties, never as markup. The page
allows exactly this text by its hash. What was decided is kept in the browser after every key.
"""

from __future__ import annotations

from scripts.filter.review_view_script import SHOW

STATE = r"""
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const images = data.images;
const at = (id) => document.getElementById(id);
const place = new Map(images.map((image, index) => [image.id, index]));
const address = (image) => "data:image/jpeg;base64," + image.jpeg;
const NAME = "unpeopled-reviewer", ZOOMS = [1, 2, 4], WORDS = ["keep", "drop"];

const decisions = new Map(); // image id -> [verdict, reviewer]
let past = []; // [image id, decision before or null], the latest last
let changes = 0; // since the last export
let current = 0, zoom = 1, grid = false, boxes = false, stored = true, reviewer = "";

function recall(key) {
  try { return localStorage.getItem(key); } catch { stored = false; return null; }
}
function remember(key, text) {
  try { localStorage.setItem(key, text); } catch { stored = false; }
  at("warning").hidden = stored;
}
function isDecision(value) {
  return Array.isArray(value) && WORDS.includes(value[0]) && typeof value[1] === "string" && value[1] !== "";
}
function load() {
  reviewer = cleanName(recall(NAME) || "");
  try {
    const saved = JSON.parse(recall(data.key) || "{}");
    for (const [id, decision] of saved.decisions || []) {
      if (place.has(id) && isDecision(decision)) decisions.set(id, decision);
    }
    past = (saved.past || []).filter(([id, before]) => place.has(id) && (before === null || isDecision(before)));
    changes = Number.isInteger(saved.changes) ? saved.changes : decisions.size;
  } catch {
    say("What this browser kept of this page cannot be read. The page starts anew.");
  }
  current = Math.max(0, undecidedAfter(images.length - 1));
}
function save() {
  remember(data.key, JSON.stringify({decisions: [...decisions], past, changes}));
}
function cleanName(text) {
  const plain = text.replace(/\p{C}/gu, " ").replace(/\s+/gu, " ").replace(/^[\s=+\-@]+/u, "").trim();
  return Array.from(plain).slice(0, 80).join("").trim();
}
function undecidedAfter(index) {
  for (let step = 1; step <= images.length; step += 1) {
    const next = (index + step) % images.length;
    if (!decisions.has(images[next].id)) return next;
  }
  return -1;
}
function cell(text) {
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}
function csvText() {
  const rows = images.filter((image) => decisions.has(image.id)).map((image) => [image.id, ...decisions.get(image.id)]);
  return [["image_id", "verdict", "reviewer"], ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
}
"""

ACT = r"""
function go(index) {
  const before = current;
  current = Math.min(images.length - 1, Math.max(0, index));
  zoom = 1;
  if (!grid) { show(); return; }
  showTile(before); showTile(current); showProgress();
  at("grid").children[current].scrollIntoView({block: "nearest"});
}
function decide(verdict) {
  if (!reviewer) { ask(() => decide(verdict)); return; }
  const id = images[current].id;
  past.push([id, decisions.get(id) || null]);
  decisions.set(id, [verdict, reviewer]);
  changes += 1;
  save();
  const left = undecidedAfter(current);
  say(left < 0 ? "All " + images.length + " are decided. Export the CSV (E) and hand it in." : "");
  go(left < 0 ? current : left);
}
function undo() {
  if (!past.length) return;
  const [id, before] = past.pop();
  if (before) decisions.set(id, before); else decisions.delete(id);
  changes += 1;
  save();
  say("");
  go(place.get(id));
}
function setGrid(value) { grid = value; zoom = 1; show(); }
function setBoxes() { boxes = data.detectors.length > 0 && !boxes; show(); }
function setZoom(x = 0.5, y = 0.5) {
  if (grid) return;
  zoom = ZOOMS[(ZOOMS.indexOf(zoom) + 1) % ZOOMS.length];
  fit();
  const stage = at("stage");
  stage.scrollLeft = x * stage.scrollWidth - stage.clientWidth / 2;
  stage.scrollTop = y * stage.scrollHeight - stage.clientHeight / 2;
}
function ask(after) {
  const finish = () => {
    const name = cleanName(at("name").value);
    if (!name) { at("name").focus(); return; }
    reviewer = name;
    remember(NAME, name);
    at("ask").close();
    showProgress();
    after();
  };
  at("name").value = reviewer;
  at("ready").onclick = finish;
  at("name").onkeydown = (event) => { if (event.key === "Enter") { event.preventDefault(); finish(); } };
  at("ask").showModal();
}
function exportCsv() {
  if (!decisions.size) { say("Nothing is decided yet."); return; }
  const link = document.createElement("a");
  const who = reviewer.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "").toLowerCase();
  link.href = URL.createObjectURL(new Blob([csvText()], {type: "text/csv"}));
  link.download = data.name + (who ? "-" + who : "") + ".csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  changes = 0;
  save();
  showProgress();
  say(decisions.size + " of " + images.length + " written to " + link.download + ".");
}
function tilesPerRow() {
  const tiles = [...at("grid").children], second = tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop);
  return second < 0 ? tiles.length : second;
}
const KEYS = {
  k: () => decide("keep"), d: () => decide("drop"), u: undo, backspace: undo,
  arrowright: () => go(current + 1), n: () => go(current + 1),
  arrowleft: () => go(current - 1), p: () => go(current - 1),
  " ": () => go(Math.max(0, undecidedAfter(current))),
  z: () => setZoom(), g: () => setGrid(!grid), b: setBoxes, e: exportCsv, "?": () => at("keys").showModal(),
};
const GRID_KEYS = {
  arrowdown: () => go(current + tilesPerRow()), arrowup: () => go(current - tilesPerRow()), enter: () => setGrid(false),
};
document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (document.querySelector("dialog[open]")) return;
  const isUndo = key === "z" && (event.ctrlKey || event.metaKey);
  if (!isUndo && (event.ctrlKey || event.metaKey || event.altKey)) return;
  const onControl = event.target.closest("button:not(.tile), summary");
  if (onControl && (key === " " || key === "enter")) return;
  const action = isUndo ? undo : KEYS[key] || (grid && GRID_KEYS[key]);
  if (!action) return;
  event.preventDefault();
  if (event.repeat && !key.startsWith("arrow")) return; // a key that is held down decides one image
  action();
});
const CLICKS = {
  keep: () => decide("keep"), drop: () => decide("drop"), undo, view: () => setGrid(!grid), boxes: setBoxes,
  previous: () => go(current - 1), next: () => go(current + 1), export: exportCsv, who: () => ask(() => {}),
  help: () => at("keys").showModal(), close: () => at("keys").close(),
};
for (const [id, action] of Object.entries(CLICKS)) {
  at(id).addEventListener("click", (event) => { if (event.detail) at(id).blur(); action(); });
}
at("frame").addEventListener("click", (event) => {
  const box = at("frame").getBoundingClientRect();
  setZoom((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
});
addEventListener("resize", () => { if (!grid) fit(); });
addEventListener("beforeunload", (event) => { if (changes && !stored) event.preventDefault(); });
at("meter").max = images.length;
at("boxes").hidden = data.detectors.length === 0;
load();
at("warning").hidden = stored;
at("guide").open = !reviewer && decisions.size === 0;
show();
if (!reviewer) ask(() => {});
"""

SCRIPT = STATE + SHOW + ACT
