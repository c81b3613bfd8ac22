// Exact search for the nearest references by cosine, ties to the lowest row.
//
// The same as eval/search/reference_search.py: a fast product finds every reference that may be
// among the nearest, the sum in 64 bits ranks them. Guarded by tests/browser/test_static_page.py.

import { NO_ROW, round } from "./comparison.js";

export const NUM_NEIGHBORS = 32;
const TIE_DECIMALS = 12;
const BLOCK_ROWS = 4096;
const SLACK = 1e-5; // more than twice what a sum of 32-bit numbers of unit vectors is wrong by

/** Scale a vector to length 1, in 32 bits; zero stays zero. */
export function unitLength(vector) {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)) || 1;
  return vector.map((value) => value / length);
}

/** Find the nearest references of queries: lists of `{row, cosine}`, nearest first.
 *
 * @param {Float32Array[]} queries Vectors of unit length.
 * @param multiply Function of (references, queries) that gives their products, (rows, Q).
 */
export async function searchNearest(library, queries, multiply) {
  const width = library.dimensions;
  const numRows = library.numReferences;
  const packed = new Float32Array(width * queries.length); // (D, Q)
  queries.forEach((query, place) => {
    query.forEach((value, part) => (packed[part * queries.length + place] = value));
  });
  const scores = queries.map(() => new Float32Array(numRows));
  for (let start = 0; start < numRows; start += BLOCK_ROWS) {
    const rows = Math.min(BLOCK_ROWS, numRows - start);
    const block = library.vectors.subarray(start * width, (start + rows) * width);
    const products = await multiply(block, rows, packed, queries.length);
    for (let row = 0; row < rows; row++) {
      for (let place = 0; place < queries.length; place++) {
        scores[place][start + row] = products[row * queries.length + place];
      }
    }
  }
  return queries.map((query, place) => rankCandidates(library, query, scores[place]));
}

function rankCandidates(library, query, scores) {
  const least = thresholdOf(scores) - SLACK;
  const unit = Float64Array.from(query);
  const length = Math.sqrt(unit.reduce((sum, value) => sum + value * value, 0)) || 1;
  const found = [];
  for (let row = 0; row < scores.length; row++) {
    if (scores[row] < least) continue;
    found.push({ row, cosine: round(library.cosine(row, unit, length), TIE_DECIMALS) });
  }
  found.sort((a, b) => b.cosine - a.cosine || a.row - b.row);
  while (found.length < NUM_NEIGHBORS) found.push({ row: NO_ROW, cosine: -Infinity });
  return found.slice(0, NUM_NEIGHBORS);
}

/** The lowest of the highest scores, as many as neighbours are wanted. */
function thresholdOf(scores) {
  if (scores.length <= NUM_NEIGHBORS) return -Infinity;
  const top = new Float32Array(NUM_NEIGHBORS).fill(-Infinity); // in rising order
  for (const score of scores) {
    if (score <= top[0]) continue;
    let place = 1;
    while (place < NUM_NEIGHBORS && top[place] < score) {
      top[place - 1] = top[place];
      place++;
    }
    top[place - 1] = score;
  }
  return top[0];
}
