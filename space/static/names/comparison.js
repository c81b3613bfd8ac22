// Comparison of a query with its neighbours, letter by letter: identity, coverage, substitutions.
//
// The same as eval/identify/judge/comparison.py, one query at a time. A comparison is a list of
// neighbours, best score first: {row, cosine, identity, coverage, transversions, conserved, gaps,
// score}; row -1 is padding, score minus infinity is not compared.
// Guarded by tests/browser/test_static_page.py.

import { BASE_CODES, NO_BASE, codesOf } from "./letters.js";
import { alignSubstitutions } from "./alignment.js";

export const UNKNOWN = -1;
export const NO_ROW = -1;
const FULL_COVERAGE = 0.5;
const COSINE_WEIGHT = 0.05;
const NUM_CANDIDATES = 8;
const MOST_DECIMALS = 12;

/** Round half to even, as NumPy does. */
export function round(value, decimals) {
  const scale = 10 ** decimals;
  const scaled = value * scale;
  if (!Number.isFinite(scaled)) return value;
  const low = Math.floor(scaled);
  const over = scaled - low;
  const isUp = over > 0.5 || (over === 0.5 && low % 2 !== 0);
  return (isUp ? low + 1 : low) / scale;
}

/** Write placed letters as codes, site by site. */
export function frameCodes(placed, width) {
  const codes = new Uint8Array(width).fill(NO_BASE);
  codes.set(codesOf(placed.letters, BASE_CODES), placed.site);
  return codes;
}

/** Compare a placed query with its neighbours `{row, cosine}`, nearest first. */
export function compare(library, placed, neighbors) {
  const isBroken = placed.numGained + placed.numLost > 0;
  const compared = isBroken
    ? compareByAlignment(library, placed.letters, neighbors)
    : compareInFrame(library, frameCodes(placed, library.width), neighbors);
  return ranked(compared);
}

function compareInFrame(library, mine, neighbors) {
  const { isConserved, width } = library;
  const numKnown = Math.max(mine.reduce((sum, code) => sum + (code < NO_BASE), 0), 1);
  return neighbors.map(({ row, cosine }) => {
    if (row === NO_ROW) return { row, cosine, ...NOT_COMPARED };
    const theirs = library.lettersOf(row);
    let shared = 0;
    let different = 0;
    let crossed = 0;
    let conserved = 0;
    let slow = 0;
    for (let site = 0; site < width; site++) {
      const [one, other] = [mine[site], theirs[site]];
      if (one >= NO_BASE || other >= NO_BASE) continue;
      shared++;
      slow += isConserved[site];
      if (one === other) continue;
      different++;
      crossed += (one ^ other) & 1;
      conserved += isConserved[site];
    }
    return {
      row,
      cosine,
      identity: shared ? (shared - different) / shared : 0,
      coverage: shared / numKnown,
      transversions: crossed / Math.max(shared, 1),
      conserved: conserved / Math.max(slow, 1),
      gaps: 0,
      isCompared: true,
    };
  });
}

const NOT_COMPARED = {
  identity: 0,
  coverage: 0,
  transversions: 0,
  conserved: 0,
  gaps: 0,
  isCompared: false,
};

/** Align a read with its nearest neighbour of each species. */
function compareByAlignment(library, letters, neighbors) {
  const seen = new Set();
  return neighbors.map(({ row, cosine }) => {
    const species = row === NO_ROW ? UNKNOWN : library.codeOf(row, library.numRanks - 1);
    const name = species === UNKNOWN ? `row ${row}` : species;
    if (row === NO_ROW || seen.has(name) || seen.size >= NUM_CANDIDATES) {
      return { row, cosine, ...NOT_COMPARED };
    }
    seen.add(name);
    const { identity, coverage, numGaps } = alignSubstitutions(letters, library.barcodes[row]);
    const part = { ...NOT_COMPARED, identity, coverage, gaps: numGaps, isCompared: true };
    return { row, cosine, ...part };
  });
}

/** Order neighbours by score; ties keep the order of cosines. */
function ranked(compared) {
  const scored = compared.map(({ isCompared, ...found }) => {
    if (!isCompared) return { ...found, identity: -1, score: -Infinity };
    const exact = found.identity * Math.min(found.coverage / FULL_COVERAGE, 1);
    const score = round(exact + COSINE_WEIGHT * (found.cosine - 1), MOST_DECIMALS);
    return { ...found, score };
  });
  return scored.sort((a, b) => (a.score === b.score ? 0 : b.score > a.score ? 1 : -1));
}
