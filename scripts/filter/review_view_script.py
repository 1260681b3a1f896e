"""The part of the reviewers' script that shows: images, boxes, grid, progress. See `review_script`."""

from __future__ import annotations

SHOW = r"""
function say(text) {
  at("notice").textContent = text;
  at("notice").hidden = text === "";
}
function boxElements(image) {
  return image.boxes.map(([detector, left, top, right, bottom, score]) => {
    const box = document.createElement("div"), label = document.createElement("span");
    box.className = "box " + data.detectors[detector].target;
    const [width, height] = [right - left, bottom - top];
    Object.assign(box.style, {left: left * 100 + "%", top: top * 100 + "%"});
    Object.assign(box.style, {width: width * 100 + "%", height: height * 100 + "%"});
    box.style.opacity = Math.min(1, 0.4 + score); // a faint box is one that the detector hardly believes in
    label.textContent = data.detectors[detector].name + " " + score.toFixed(2);
    box.append(label);
    return box;
  });
}
function fit() {
  const image = images[current], space = at("stage").getBoundingClientRect();
  const scale = zoom * Math.min(space.width / image.width, space.height / image.height, 4);
  at("stage").classList.toggle("zoomed", zoom > 1);
  at("frame").style.width = Math.max(1, Math.floor(image.width * scale)) + "px";
  at("frame").style.height = Math.max(1, Math.floor(image.height * scale)) + "px";
}
function showProgress() {
  const drops = [...decisions.values()].filter(([verdict]) => verdict === "drop").length;
  at("progress").textContent = decisions.size + " of " + images.length;
  at("counts").textContent = decisions.size - drops + " " + data.words.keep + ", " + drops + " " + data.words.drop;
  at("meter").value = decisions.size;
  at("unsaved").textContent = changes ? " (" + changes + " new)" : "";
  at("undo").disabled = past.length === 0;
  at("who").textContent = reviewer || "Your name";
}
function badge(element, decision) {
  element.hidden = !decision;
  element.className = "badge " + (decision ? decision[0] : "");
  element.textContent = decision ? data.words[decision[0]] : "";
}
function showImage() {
  const image = images[current];
  at("picture").hidden = !image.jpeg;
  if (image.jpeg) at("picture").src = address(image); else at("picture").removeAttribute("src");
  at("picture").alt = "image " + (current + 1) + " of " + images.length;
  at("note").textContent = image.note;
  at("overlay").replaceChildren(...(boxes ? boxElements(image) : []));
  at("number").textContent = current + 1 + " / " + images.length;
  at("title").textContent = image.title || "no title";
  at("creator").textContent = image.creator || "unknown";
  at("why").textContent = image.why;
  at("image_id").textContent = image.id;
  badge(at("decided"), decisions.get(image.id));
  fit();
}
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const image = images[entry.target.dataset.index];
    if (entry.isIntersecting && image.jpeg) entry.target.querySelector("img").src = address(image);
  }
}, {root: at("grid"), rootMargin: "400px"});
function makeTile(image, index) {
  const tile = document.createElement("button"), frame = document.createElement("div");
  const picture = document.createElement("img"), overlay = document.createElement("div");
  tile.type = "button"; tile.className = "tile"; tile.dataset.index = index;
  picture.alt = "image " + (index + 1); picture.decoding = "async";
  frame.className = "frame"; overlay.className = "overlay";
  const scale = Math.min(1 / image.width, 1 / image.height) * 100;
  Object.assign(frame.style, {width: image.width * scale + "%", height: image.height * scale + "%"});
  frame.append(image.jpeg ? picture : document.createTextNode(image.note), overlay);
  tile.append(frame, document.createElement("span"));
  tile.addEventListener("click", () => go(index));
  tile.addEventListener("dblclick", () => setGrid(false));
  watcher.observe(tile);
  return tile;
}
function showTile(index) {
  const tile = at("grid").children[index], image = images[index];
  if (!tile) return;
  badge(tile.lastChild, decisions.get(image.id));
  tile.classList.toggle("current", index === current);
  tile.querySelector(".overlay").replaceChildren(...(boxes ? boxElements(image) : []));
}
function show() {
  at("single").hidden = grid;
  at("grid").hidden = !grid;
  at("view").firstChild.textContent = grid ? "One by one " : "Grid ";
  at("boxes").setAttribute("aria-pressed", boxes);
  if (grid) {
    if (!at("grid").childElementCount) at("grid").append(...images.map(makeTile));
    images.forEach((image, index) => showTile(index));
    at("grid").children[current].scrollIntoView({block: "nearest"});
  } else {
    showImage();
  }
  showProgress();
}
"""
