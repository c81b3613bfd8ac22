// The map as a picture: references as coloured points, the visitor's barcodes as rings upon them.
//
// Guarded by tests/browser/test_static_page.py.

const SVG = "http://www.w3.org/2000/svg";
const MIN_WIDTH = 280;
const MAX_HEIGHT = 480;
const MARGIN = 34;
// Distinct for the colour-blind too (Okabe and Ito); what is not among the named taxa is grey.
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900"];
const GREY = "#b9c2bd";
const MOST_TITLED = 200;

function shape(tag, attributes, title = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (title) {
    const told = document.createElementNS(SVG, "title");
    told.textContent = title;
    made.append(told);
  }
  return made;
}

/** Draw references and answers. */
export function drawMap(map, answers) {
  const queries = answers.filter(({ at }) => at);
  // In the size that it is shown in, so that letters are as large as elsewhere.
  const width = Math.max(document.getElementById("map").clientWidth, MIN_WIDTH);
  const height = Math.min(width, MAX_HEIGHT);
  const toPixels = scaleOf([...map.places, ...queries.map(({ at }) => at)], width, height);
  const picture = shape(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img" },
    `Map of ${map.places.length} references and ${queries.length} of your barcodes`,
  );
  map.places.forEach((at, place) => {
    const [cx, cy] = toPixels(at);
    const fill = map.groups[place] < 0 ? GREY : COLORS[map.groups[place]];
    picture.append(shape("circle", { cx, cy, r: 2.6, fill, "fill-opacity": 0.75 }));
  });
  queries.forEach(({ at, id }, number) => {
    const [cx, cy] = toPixels(at);
    const title = number < MOST_TITLED ? id : "";
    picture.append(shape("circle", { cx, cy, r: 6, fill: "none", stroke: "#ffffff", "stroke-width": 4 }));
    picture.append(
      shape("circle", { cx, cy, r: 6, fill: "none", stroke: "#111111", "stroke-width": 1.8 }, title),
    );
  });
  const [first, second] = map.shares.map((share) => `${(share * 100).toFixed(0)} %`);
  axis(picture, { x: width / 2, y: height - 8 }, `first direction, ${first} of the variance`);
  const turned = `rotate(-90 14 ${height / 2})`;
  axis(picture, { x: 14, y: height / 2, transform: turned }, `second direction, ${second}`);
  document.getElementById("map").replaceChildren(picture);
  document.getElementById("map-note").textContent =
    `References by the two directions in which their vectors vary most, coloured by ${map.rank}` +
    (queries.length ? "; rings are your barcodes." : ". Your barcodes will be rings.");
  drawLegend(map, queries.length > 0);
}

function axis(picture, attributes, text) {
  const made = shape("text", { "text-anchor": "middle", ...attributes });
  made.textContent = text;
  picture.append(made);
}

function scaleOf(places, width, height) {
  const bounds = [0, 1].map((axis) => {
    const values = places.map((at) => at[axis]);
    const low = values.reduce((least, value) => Math.min(least, value), Infinity);
    const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
    return [low, high - low || 1];
  });
  return ([x, y]) => [
    MARGIN + ((x - bounds[0][0]) / bounds[0][1]) * (width - 2 * MARGIN),
    height - MARGIN - ((y - bounds[1][0]) / bounds[1][1]) * (height - 2 * MARGIN),
  ];
}

function drawLegend(map, hasQueries) {
  const entries = map.taxa.map((name, place) => [name, { fill: COLORS[place] }]);
  if (map.groups.includes(-1)) entries.push([`another ${map.rank}, or none known`, { fill: GREY }]);
  if (hasQueries) {
    entries.push(["your barcodes", { fill: "none", stroke: "#111111", "stroke-width": 2 }]);
  }
  const items = entries.map(([name, attributes]) => {
    const item = document.createElement("li");
    const mark = shape("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" });
    mark.append(shape("circle", { cx: 6, cy: 6, r: 4.5, ...attributes }));
    item.append(mark, document.createTextNode(name));
    return item;
  });
  document.getElementById("legend").replaceChildren(...items);
}
