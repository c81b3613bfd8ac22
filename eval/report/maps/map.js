"use strict";
// Draws the points of a map on a canvas, with labels that do not cover each other. Text of the data
// goes into the page as text only, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const GRID = 10000, MARGIN = 34, MOST_LISTED = 60;
const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d");
const tip = document.querySelector(".tip"), legend = document.querySelector(".legend");
const view = {zoom: 1, x: GRID / 2, y: GRID / 2};
let coloring = DATA.colorings[0], groupOf = [], chosen = null, hovered = -1;

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function scale() {
  const {clientWidth: width, clientHeight: height} = canvas;
  return view.zoom * (Math.min(width, height) - 2 * MARGIN) / GRID;
}

function toScreen(x, y) {
  const by = scale();
  return [canvas.clientWidth / 2 + (x - view.x) * by, canvas.clientHeight / 2 - (y - view.y) * by];
}

function centre() {
  const wide = Math.max(...DATA.x) / 2, high = Math.max(...DATA.y) / 2;
  Object.assign(view, {zoom: 1, x: wide, y: high});
  // Fill the canvas whatever its shape.
  const {clientWidth: width, clientHeight: height} = canvas;
  const fit = Math.min((width - 2 * MARGIN) / Math.max(2 * wide, 1), (height - 2 * MARGIN) / Math.max(2 * high, 1));
  view.zoom = fit / scale();
}

function dot(row, radius, color, isHollow, alpha) {
  const [x, y] = toScreen(DATA.x[row], DATA.y[row]);
  pen.globalAlpha = alpha;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  if (isHollow) { pen.strokeStyle = "#8a9199"; pen.lineWidth = 1.2; pen.stroke(); }
  else { pen.fillStyle = color; pen.fill(); }
}

function labels() {
  const taken = [];
  const put = (text, x, y, color) => {
    const width = pen.measureText(text).width, box = [x - width / 2 - 3, y - 20, x + width / 2 + 3, y - 5];
    if (box[0] < 2 || box[2] > canvas.clientWidth - 2 || box[1] < 2 || box[3] > canvas.clientHeight - 2) return;
    if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) return;
    taken.push(box);
    pen.lineWidth = 3.5;
    pen.strokeStyle = style("--card");
    pen.strokeText(text, x, y - 8);
    pen.fillStyle = color;
    pen.fillText(text, x, y - 8);
  };
  pen.globalAlpha = 1;
  pen.font = "600 12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.lineJoin = "round";
  const shown = chosen ? [chosen, ...coloring.groups.filter((group) => group !== chosen)] : coloring.groups;
  for (const group of shown) put(group.rows.length > 1 ? `${group.name} (${group.rows.length})` : group.name, ...toScreen(...group.anchor), style("--ink"));
  if (view.zoom < 3) return;
  pen.font = "11px system-ui, sans-serif";
  groupOf.forEach((group, row) => { if (!group) put(DATA.lines[row][0], ...toScreen(DATA.x[row], DATA.y[row]), style("--soft")); });
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  const radius = Math.min(6, Math.max(1.6, 60 / Math.sqrt(DATA.x.length)) * Math.sqrt(Math.min(view.zoom, 4)));
  groupOf.forEach((group, row) => { if (!group) dot(row, radius * 0.9, "", true, chosen ? 0.25 : 0.9); });
  groupOf.forEach((group, row) => { if (group && group !== chosen) dot(row, radius, group.color, false, chosen ? 0.15 : 0.85); });
  if (chosen) for (const row of chosen.rows) dot(row, radius * 1.25, chosen.color, false, 1);
  pen.globalAlpha = 1;
  pen.fillStyle = style("--soft");
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "left";
  pen.fillText("UMAP 1 →", 8, canvas.clientHeight - 8);
  pen.save();
  pen.translate(15, canvas.clientHeight - 24);
  pen.rotate(-Math.PI / 2);
  pen.fillText("UMAP 2 →", 0, 0);
  pen.restore();
  labels();
}

function nearest(x, y) {
  let best = -1, least = 14 * 14;
  for (let row = 0; row < DATA.x.length; row += 1) {
    const [a, b] = toScreen(DATA.x[row], DATA.y[row]);
    const distance = (a - x) ** 2 + (b - y) ** 2;
    if (distance < least) { least = distance; best = row; }
  }
  return best;
}

function tell(row, x, y) {
  hovered = row;
  tip.hidden = row < 0;
  if (row < 0) return;
  const [id, ...others] = DATA.lines[row];
  const name = document.createElement("b");
  name.textContent = id;
  tip.replaceChildren(name, ...others.map((line) => { const made = document.createElement("div"); made.textContent = line; return made; }));
  tip.style.left = `${Math.max(4, Math.min(x + 14, canvas.clientWidth - tip.offsetWidth - 6))}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, canvas.clientHeight - tip.offsetHeight - 6))}px`;
}

function choose(group) {
  chosen = group === chosen ? null : group;
  for (const leaf of document.querySelectorAll(".leaf")) leaf.classList.toggle("chosen", chosen !== null && leaf.dataset.group === chosen.name);
  draw();
}

function list() {
  const entry = (text, color, open) => {
    const item = document.createElement("li"), mark = document.createElement("i");
    if (color) mark.style.background = color; else mark.className = "hollow";
    item.append(mark, text);
    if (open) item.addEventListener("click", open);
    return item;
  };
  const items = coloring.groups.slice(0, MOST_LISTED).map((group) => entry(`${group.name} (${group.rows.length})`, group.color, () => choose(group)));
  const more = coloring.groups.length - MOST_LISTED;
  if (more > 0) { const item = document.createElement("li"); item.textContent = `and ${more} more`; items.push(item); }
  const rest = groupOf.filter((group) => !group).length;
  if (rest) items.unshift(entry(`${coloring.rest} (${rest})`, "", null));
  legend.replaceChildren(...items);
}

function colour(number) {
  coloring = DATA.colorings[number];
  groupOf = new Array(DATA.x.length).fill(null);
  for (const group of coloring.groups) for (const row of group.rows) groupOf[row] = group;
  chosen = null;
  document.querySelectorAll("[data-coloring]").forEach((button) => button.setAttribute("aria-pressed", Number(button.dataset.coloring) === number));
  list();
  draw();
}

function zoom(by, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const before = scale(), left = x - canvas.clientWidth / 2, top = y - canvas.clientHeight / 2;
  view.zoom = Math.min(200, Math.max(0.5, view.zoom * by));
  view.x += left / before - left / scale();
  view.y -= top / before - top / scale();
  draw();
}

let held = null;
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.offsetX, event.offsetY); }, {passive: false});
canvas.addEventListener("pointerdown", (event) => {
  if (event.pointerType === "mouse") { held = [event.offsetX, event.offsetY]; canvas.setPointerCapture(event.pointerId); }
  else tell(nearest(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
});
canvas.addEventListener("pointerup", () => { held = null; });
canvas.addEventListener("pointermove", (event) => {
  if (held) {
    view.x -= (event.offsetX - held[0]) / scale();
    view.y += (event.offsetY - held[1]) / scale();
    held = [event.offsetX, event.offsetY];
    draw();
  } else tell(nearest(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
});
canvas.addEventListener("pointerleave", () => tell(-1));
canvas.addEventListener("click", () => { if (hovered >= 0 && groupOf[hovered]) choose(groupOf[hovered]); });
document.querySelectorAll("[data-coloring]").forEach((button) => button.addEventListener("click", () => colour(Number(button.dataset.coloring))));
document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => zoom(Number(button.dataset.zoom))));
document.getElementById("whole").addEventListener("click", () => { centre(); draw(); });
for (const leaf of document.querySelectorAll(".leaf")) {
  leaf.addEventListener("click", () => {
    const group = DATA.colorings[0].groups.find((one) => one.name === leaf.dataset.group);
    if (coloring !== DATA.colorings[0]) colour(0);
    if (group) choose(group);
  });
}
window.addEventListener("resize", draw);
centre();
colour(DATA.shown);
