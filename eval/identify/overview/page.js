"use strict";
// Draws the sunburst of names and lets its rings, the ranks of the composition and the measure be
// chosen. Text of the data goes into the page as text only, never as markup.

const PALETTE = JSON.parse(document.getElementById("palette").textContent);
const SVG = "http://www.w3.org/2000/svg";
const RANKS = ["phylum", "class", "order", "family", "genus", "species"];
const SIZE = 760, HOLE = 62, RING = 53;

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Each node learns its parent, ring and angles (shares of the circle); empty rings stay empty.
function place(node, parent, from, whole) {
  node.parent = parent;
  node.ring = parent ? RANKS.indexOf(node.rank) + 1 : 0;
  node.from = from;
  node.to = from + node.count / whole;
  let start = from;
  for (const child of node.children) {
    place(child, node, start, whole);
    start = child.to;
  }
}

function each(node, visit) {
  visit(node);
  node.children.forEach((child) => each(child, visit));
}

// One colour for each taxon of the first rank that has several large ones, paler further out.
function paint(root) {
  let ring = 1;
  for (; ring < RANKS.length; ring += 1) {
    const large = [];
    each(root, (node) => { if (node.ring === ring && node.count > 0.03 * root.count) large.push(node); });
    if (large.length > 2) break;
  }
  const roots = [];
  each(root, (node) => { if (node.ring === ring) roots.push(node); });
  roots.sort((a, b) => b.count - a.count);
  each(root, (node) => { node.color = node.ring < ring ? "#B9C0C6" : null; });
  roots.forEach((top, number) => each(top, (node) => {
    const base = number < PALETTE.length ? PALETTE[number] : "#9AA1A7";
    node.color = paler(base, 0.17 * (node.ring - ring) + (node.name ? 0 : 0.3));
  }));
}

function paler(color, share) {
  const part = Math.min(share, 0.72);
  const mixed = [1, 3, 5].map((start) => {
    const value = parseInt(color.slice(start, start + 2), 16);
    return Math.round(value + (255 - value) * part).toString(16).padStart(2, "0");
  });
  return "#" + mixed.join("");
}

function isDark(color) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue < 140;
}

function arc(from, to, inner, outer) {
  const span = Math.min(to - from, 0.99999);
  const [a, b] = [2 * Math.PI * from, 2 * Math.PI * (from + span)];
  const large = span > 0.5 ? 1 : 0;
  const point = (radius, angle) => `${(radius * Math.sin(angle)).toFixed(2)},${(-radius * Math.cos(angle)).toFixed(2)}`;
  return `M${point(outer, a)}A${outer},${outer},0,${large},1,${point(outer, b)}` +
    `L${point(inner, b)}A${inner},${inner},0,${large},0,${point(inner, a)}Z`;
}

// A label stands along its ring if the arc is long enough, across it if the name is short enough.
function label(svg, node, from, to, inner, outer, number) {
  if (!node.name) return;
  const isPhone = window.innerWidth <= 560;
  const letter = isPhone ? 11.5 : 6.7, height = isPhone ? 23 : 13;
  const middle = (inner + outer) / 2, length = 2 * Math.PI * middle * (to - from);
  const width = node.name.length * letter;
  const color = isDark(node.color) ? "#FFFFFF" : "#111111";
  if (length > width + 8) {
    const turn = (from + to) / 2;
    const isBelow = turn > 0.25 && turn < 0.75;
    const id = `${svg.id}-${number}`;
    const radius = middle + (isBelow ? 4 : -4);
    const [a, b] = isBelow ? [to, from] : [from, to];
    const span = Math.abs(to - from) > 0.5 ? 1 : 0;
    const at = (share) => `${(radius * Math.sin(2 * Math.PI * share)).toFixed(2)},${(-radius * Math.cos(2 * Math.PI * share)).toFixed(2)}`;
    const stop = isBelow ? b : Math.min(b, a + 0.9999);
    svg.append(element("path", {id, d: `M${at(isBelow ? Math.min(a, b + 0.9999) : a)}A${radius},${radius},0,${span},${isBelow ? 0 : 1},${at(stop)}`, fill: "none", style: "stroke:none;pointer-events:none"}));
    const text = element("text", {"text-anchor": "middle", style: `fill:${color}`});
    const along = element("textPath", {href: `#${id}`, startOffset: "50%"}, node.name);
    text.append(along);
    svg.append(text);
  } else if (length > height && width < outer - inner - 4) {
    const turn = 360 * (from + to) / 2 - 90;
    const flip = turn > 90 ? 180 : 0;
    svg.append(element("text", {
      "text-anchor": "middle", dy: "0.35em", style: `fill:${color}`,
      transform: `rotate(${turn}) translate(${middle},0) rotate(${flip})`,
    }, node.name));
  }
}

function lineage(node) {
  const names = [];
  for (let at = node; at && at.parent; at = at.parent) if (at.name) names.unshift(at.name);
  return names;
}

function tell(box, node, root) {
  box.replaceChildren();
  const share = (100 * node.count / root.count).toFixed(1);
  const name = document.createElement("b");
  name.textContent = node.name || `no name at the rank of ${node.rank}`;
  const counts = `${node.rank ? node.rank + ", " : ""}${node.count.toLocaleString("en")} of ${root.count.toLocaleString("en")} (${share} %)`;
  box.append(name, document.createElement("br"), [counts, lineage(node).slice(0, -1).join(" › ")].filter(Boolean).join(" · "));
}

function draw(figure, root, centre) {
  const svg = figure.querySelector("svg"), box = figure.querySelector(".readout");
  svg.replaceChildren();
  const span = centre.to - centre.from;
  let number = 0;
  each(centre, (node) => {
    if (node === centre) return;
    const [from, to] = [(node.from - centre.from) / span, (node.to - centre.from) / span];
    const depth = node.ring - centre.ring - 1;
    const [inner, outer] = [HOLE + depth * RING, HOLE + (depth + 1) * RING];
    const path = element("path", {d: arc(from, to, inner, outer), fill: node.color, tabindex: 0});
    path.append(element("title", {}, `${lineage(node).join(" › ")}: ${node.count}`));
    path.addEventListener("mouseenter", () => tell(box, node, root));
    path.addEventListener("focus", () => tell(box, node, root));
    const open = () => { if (node.children.length) draw(figure, root, node); tell(box, node, root); };
    path.addEventListener("click", open);
    path.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
    svg.append(path);
    label(svg, node, from, to, inner, outer, number += 1);
  });
  const hole = element("circle", {r: HOLE - 3, fill: centre.color || "transparent", opacity: 0.35, style: "cursor:pointer"});
  hole.addEventListener("click", () => { if (centre.parent) { draw(figure, root, centre.parent); tell(box, centre.parent, root); } });
  svg.append(hole);
  svg.append(element("text", {"text-anchor": "middle", dy: centre.parent ? "-0.2em" : "0.35em"}, centre.parent ? centre.name || "…" : "all named"));
  if (centre.parent) svg.append(element("text", {"text-anchor": "middle", dy: "1.2em", class: "small"}, "back"));
  tell(box, centre, root);
}

for (const figure of document.querySelectorAll(".sunburst")) {
  const root = JSON.parse(figure.querySelector("script").textContent);
  if (!root.count) continue;
  place(root, null, 0, root.count);
  paint(root);
  let deepest = 0;
  each(root, (node) => { deepest = Math.max(deepest, node.ring); });
  const radius = HOLE + deepest * RING + 2;
  figure.querySelector("svg").setAttribute("viewBox", `${-radius} ${-radius} ${2 * radius} ${2 * radius}`);
  draw(figure, root, root);
}

// Buttons show one of several parts of the page: those whose data-part is the button's.
for (const choice of document.querySelectorAll(".choice")) {
  const buttons = [...choice.querySelectorAll("button")];
  const show = (chosen) => {
    for (const button of buttons) {
      const isChosen = button === chosen;
      button.setAttribute("aria-pressed", isChosen);
      for (const part of document.querySelectorAll(`[data-part="${button.dataset.shows}"]`)) part.hidden = !isChosen;
    }
  };
  buttons.forEach((button) => button.addEventListener("click", () => show(button)));
  show(buttons.find((button) => button.dataset.first) || buttons[0]);
}
