// Ties: references with the same letters over the query's window, but other names.
//
// The same as eval/identify/judge/ties.py and `_tie` of eval/identify/identification.py.
// Guarded by tests/browser/test_static_page.py.

import { NO_BASE } from "./letters.js";
import { UNKNOWN, frameCodes } from "./comparison.js";
import { RANKS } from "./judgement.js";

const MAJORITY = 0.9;
const SAME = 1e-9;

/** Find which references are alike over a query's letters, and what they are named.
 *
 * @param identical Rows of all references with exactly the letters of the query.
 * @returns {{depth: number, winners: number[], species: number[]}}
 */
export function tieOf(library, placed, compared, winners, identical) {
  const best = compared[0];
  let tied = compared.filter(
    ({ identity, coverage }) =>
      Math.abs(identity - best.identity) < SAME &&
      Math.abs(coverage - best.coverage) < SAME &&
      identity >= 0,
  );
  if (tied.length > 1) {
    const mine = frameCodes(placed, library.width);
    const first = library.lettersOf(best.row);
    tied = tied.filter(({ row }) => row === best.row || isAlike(mine, first, library.lettersOf(row)));
  }
  const others = new Set([...tied.map(({ row }) => row), ...identical]);
  others.delete(best.row);
  const every = [best.row, ...[...others].sort((a, b) => a - b)];
  return findTie(every.map((row) => library.lineageOf(row)), winners);
}

/** Whether a reference has the letters of the first over the query's window. */
function isAlike(mine, first, other) {
  for (let site = 0; site < mine.length; site++) {
    if (mine[site] >= NO_BASE || first[site] >= NO_BASE) continue;
    if (other[site] !== first[site] && other[site] !== NO_BASE) return false;
  }
  return true;
}

function findTie(lineages, winning) {
  const last = RANKS.length - 1;
  const species = mostFrequentFirst(lineages.map((codes) => codes[last]));
  const winners = winning.slice();
  if (lineages.length < 2) return { depth: RANKS.length, winners, species };
  let tied = lineages;
  for (let rank = 0; rank < RANKS.length; rank++) {
    const names = mostFrequentFirst(tied.map((codes) => codes[rank]));
    if (names.length < 2) continue;
    const count = tied.filter((codes) => codes[rank] === names[0]).length;
    const numKnown = tied.filter((codes) => codes[rank] !== UNKNOWN).length;
    if (count < MAJORITY * numKnown) return { depth: rank, winners, species };
    winners[rank] = names[0];
    tied = tied.filter((codes) => codes[rank] === names[0] || codes[rank] === UNKNOWN);
  }
  return { depth: RANKS.length, winners, species };
}

/** List the known codes, each once, the most frequent first, ties in their order. */
function mostFrequentFirst(codes) {
  const counts = new Map();
  for (const code of codes) {
    if (code !== UNKNOWN) counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  const known = [...counts.keys()];
  return known.sort((a, b) => counts.get(b) - counts.get(a) || a - b);
}
