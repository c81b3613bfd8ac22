// A map of references and queries: their vectors on the two directions in which references vary most.
//
// In: a library. Out: a function that places vectors, and the places of some references with the
// taxon that colours them. Guarded by tests/browser/test_static_page.py.
//
// Principal components by orthogonal iteration from fixed vectors, so a library has one map.

import { UNKNOWN } from "./comparison.js";
import { RANKS } from "./judgement.js";

const MAX_SHOWN = 1500; // references, evenly spaced
const NUM_ROUNDS = 40;
const NUM_COLORED = 7; // taxa; the others are grey
const COLORING_RANKS = ["order", "family", "genus"];
const MIN_TAXA = 3; // of the rank that colours

/** Make the map of a library. */
export function makeMap(library) {
  const step = Math.max(Math.ceil(library.numReferences / MAX_SHOWN), 1);
  const rows = [];
  for (let row = 0; row < library.numReferences; row += step) rows.push(row);
  const mean = meanOf(rows.map((row) => library.vectorOf(row)), library.dimensions);
  const centred = rows.map((row) => library.vectorOf(row).map((value, part) => value - mean[part]));
  const axes = componentsOf(centred, library.dimensions);
  const placeOf = (vector) => axes.map((axis) => dot(axis, vector) - dot(axis, mean));
  const places = centred.map((vector) => axes.map((axis) => dot(axis, vector)));
  const total = centred.reduce((sum, vector) => sum + dot(vector, vector), 0);
  const shares = axes.map((_, axis) => places.reduce((sum, at) => sum + at[axis] ** 2, 0) / (total || 1));
  return { placeOf, places, shares, ...colorsOf(library, rows), names: rows.map((row) => library.ids[row]) };
}

function dot(left, right) {
  let sum = 0;
  for (let place = 0; place < left.length; place++) sum += left[place] * right[place];
  return sum;
}

function meanOf(vectors, width) {
  const mean = new Float64Array(width);
  for (const vector of vectors) vector.forEach((value, part) => (mean[part] += value));
  return mean.map((value) => value / vectors.length);
}

function componentsOf(vectors, width) {
  const axes = [0, 1].map((axis) => Float64Array.from({ length: width }, (_, part) => Math.cos(part * (axis + 1))));
  for (let round = 0; round < NUM_ROUNDS; round++) {
    for (const [number, axis] of axes.entries()) {
      const next = new Float64Array(width);
      for (const vector of vectors) {
        const along = dot(axis, vector);
        for (let part = 0; part < width; part++) next[part] += along * vector[part];
      }
      for (const other of axes.slice(0, number)) {
        const along = dot(other, next);
        next.forEach((_, part) => (next[part] -= along * other[part]));
      }
      const length = Math.sqrt(dot(next, next)) || 1;
      axis.set(next.map((value) => value / length));
    }
  }
  return axes;
}

/** The taxa that colour the references, the most frequent first, and which each belongs to. */
function colorsOf(library, rows) {
  const counted = COLORING_RANKS.map((name) => {
    const rank = RANKS.indexOf(name);
    const counts = new Map();
    for (const row of rows) {
      const code = library.codeOf(row, rank);
      if (code !== UNKNOWN) counts.set(code, (counts.get(code) ?? 0) + 1);
    }
    return { name, rank, counts };
  });
  const { name, rank, counts } = counted.find((part) => part.counts.size >= MIN_TAXA) ?? counted[0];
  const codes = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a - b);
  const shown = codes.slice(0, NUM_COLORED);
  return {
    rank: name,
    taxa: shown.map((code) => library.taxon(rank, code)),
    groups: rows.map((row) => shown.indexOf(library.codeOf(row, rank))),
  };
}
