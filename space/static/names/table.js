// Results as the TSV that `barcodemae identify` writes, column by column.
//
// The same as `to_tsv` of eval/identify/formats.py and src/barcodemae/output/cells.py.
// Guarded by tests/browser/test_static_page.py.

import { LADDER, RANKS } from "./judgement.js";

const DECIMALS = 4;
const UNASSIGNED = "unassigned";
const COLUMNS = [
  "id",
  ...RANKS.flatMap((rank) => [rank, `${rank}_probability`]),
  ...LADDER.toReversed().map((rank) => `new_${rank}_probability`),
  ..."nearest_reference similarity agreement identity coverage strand length".split(" "),
  ..."unknown_fraction flags bin bin_agreement candidates excluded evidence".split(" "),
  ..."cut_before cut_after bases_gained bases_lost".split(" "),
];
const NAMED = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/** Write four decimals, ties to even as in Python; nothing for what is not known. */
export function formatNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const shown = value.toFixed(DECIMALS);
  const exact = value.toFixed(60);
  const rest = exact.slice(exact.indexOf(".") + 1 + DECIMALS);
  const isTie = /^50*$/.test(rest);
  const text = isTie && Number(shown.at(-1)) % 2 ? exact.slice(0, exact.length - rest.length) : shown;
  return Object.is(value, -0) ? `-${text}` : text;
}

function escapeCell(text) {
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, (letter) => {
    const code = letter.codePointAt(0);
    const hex = code.toString(16);
    return NAMED[letter] ?? (code < 256 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`);
  });
}

function rowOf(cells) {
  return `${cells.map(escapeCell).join("\t")}\n`;
}

function cellsOf(found) {
  const { placed } = found;
  const ranks = RANKS.flatMap((_, rank) => [
    rank >= found.depth ? UNASSIGNED : (found.names[rank] ?? ""),
    formatNumber(found.probabilities[rank]),
  ]);
  return [
    found.id,
    ...ranks,
    ...found.novelty.toReversed().map(formatNumber),
    found.nearest,
    ...[found.similarity, found.agreement, found.identity, found.coverage].map(formatNumber),
    placed.strand,
    String(placed.length),
    formatNumber(placed.unknown),
    found.flags.join(","),
    found.bin ?? "",
    formatNumber(found.binAgreement),
    found.candidates.join("|"),
    "", // the page restricts to no taxa, so nothing is excluded
    formatNumber(placed.evidence),
    ...[placed.numBefore, placed.numAfter, placed.numGained, placed.numLost].map(String),
  ];
}

/** Write the table of all records that were identified. */
export function toTsv(named) {
  const rows = named.filter(({ reason }) => !reason).map((found) => rowOf(cellsOf(found)));
  return `${COLUMNS.join("\t")}\n${rows.join("")}`;
}

/** Write the table of all records that were not; nothing if there are none. */
export function toRejected(named) {
  const rows = named.filter(({ reason }) => reason);
  if (!rows.length) return "";
  const lines = rows.map(({ number, id, reason }) => rowOf([String(number), id, reason]));
  return rowOf(["barcodemae_record", "id", "reason"]) + lines.join("");
}
