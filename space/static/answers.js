// The table of answers: a row for each record, its lineage and nearest references behind a summary.
//
// Guarded by tests/browser/test_static_page.py.

import { LADDER, RANKS } from "./names/judgement.js";

const NOVEL_FROM = 0.5;
const WORDS = {
  not_a_barcode: "not a barcode",
  conflict: "references contradict each other",
  reference_flagged: "its reference is doubted",
  short: "not a whole barcode",
  ambiguous: "unknown letters",
  trimmed: "ends cut off",
  frameshift: "shifts the reading frame",
  stop_codon: "stop codon",
  exact_match: "letters as in the library",
};

/** Write a probability as a person reads it; never 0 % or 100 %. */
export function percent(value) {
  if (value > 0.99) return "over 99 %";
  if (value < 0.01) return "under 1 %";
  return `${Math.round(value * 100)} %`;
}

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text.toWellFormed?.() ?? text;
  if (className) made.className = className;
  return made;
}

function cell(label, ...parts) {
  const made = element("td");
  made.dataset.label = label;
  made.append(...parts);
  return made;
}

/** Fill the table with the answers that are shown. */
export function fillTable(body, shown) {
  body.replaceChildren(...shown.map(rowOf));
}

function rowOf(found) {
  const row = element("tr");
  const head = element("th", found.id || "(no id)");
  head.scope = "row";
  row.append(head);
  if (found.reason) {
    const told = cell("Rejected", element("span", found.reason, "new"));
    told.colSpan = 4;
    row.append(told);
    return row;
  }
  if (found.placed.isReverse) head.append(element("div", "turned round", "soft"));
  row.append(
    cell("Name", ...nameOf(found)),
    cell("New here", ...noveltyOf(found)),
    cell("Nearest", ...nearestOf(found)),
    cell("Remarks", ...remarksOf(found)),
  );
  return row;
}

function deepest(found) {
  return found.names.slice(0, found.depth).findLastIndex((name) => name !== null);
}

function nameOf(found) {
  if (!found.placed.isBarcode) return [element("span", "none: not a barcode", "soft")];
  const rank = deepest(found);
  const parts = [];
  if (rank < 0) parts.push(element("span", "none", "soft"));
  else {
    const isItalic = RANKS[rank] === "species" || RANKS[rank] === "genus";
    parts.push(element("span", found.names[rank], isItalic ? "name italic" : "name"));
    parts.push(element("div", `${RANKS[rank]}, ${percent(found.probabilities[rank])}`, "soft"));
  }
  const more = element("details");
  const list = element("ul");
  RANKS.forEach((name, place) => {
    if (found.names[place] === null) return;
    const isGiven = place < found.depth;
    const text = `${name}: ${found.names[place]}, ${percent(found.probabilities[place])}`;
    list.append(element("li", isGiven ? text : `${text}, not given`, isGiven ? "" : "soft"));
  });
  more.append(element("summary", "Lineage"), list);
  return [...parts, more];
}

function noveltyOf(found) {
  if (!found.placed.isBarcode) return [];
  const step = found.novelty.findIndex((value) => value >= NOVEL_FROM);
  const text = step < 0 ? "no" : `new ${LADDER[step]}, ${percent(found.novelty[step])}`;
  return [element("span", text, step < 0 ? "" : "new")];
}

function nearestOf(found) {
  if (!found.placed.isBarcode) return [];
  const list = element("ul");
  for (const { id, name, identity } of found.listed) {
    list.append(element("li", `${id}, ${name}: ${(identity * 100).toFixed(1)} % equal letters`));
  }
  const more = element("details");
  more.append(element("summary", "Candidates"), list);
  const equal = `${(found.identity * 100).toFixed(1)} % equal letters`;
  return [element("span", found.nearest), element("div", equal, "soft"), more];
}

function remarksOf(found) {
  const told = found.flags.filter((flag) => !flag.startsWith("novel_"));
  const parts = told.length ? [element("span", told.map((flag) => WORDS[flag] ?? flag).join(", "))] : [];
  if (found.candidates.length) {
    parts.push(element("div", `alike: ${found.candidates.join(", ")}`, "soft"));
  }
  return parts;
}
