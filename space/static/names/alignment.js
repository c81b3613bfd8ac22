// Alignment of reads that lost or gained bases; identity counts substitutions only.
//
// The same as `align_substitutions` of eval/identify/judge/alignment.py. There edlib aligns; here the
// whole table is filled, and the path is read off it in edlib's order: up, left, diagonal.
// Guarded by tests/browser/test_static_page.py.

/** Align a read with a reference: `{identity, coverage, numGaps}`. */
export function alignSubstitutions(query, reference) {
  const isSwapped = query.length > reference.length;
  const [inner, outer] = isSwapped ? [reference, query] : [query, reference];
  const { errors, runs } = alignWithin(inner, outer);
  const counts = { "=": 0, X: 0, I: 0, D: 0 };
  for (const [operation, length] of insideOf(runs, errors)) counts[operation] += length;
  const numPaired = counts["="] + counts.X;
  return {
    identity: counts["="] / Math.max(numPaired, 1),
    coverage: (numPaired + counts[isSwapped ? "D" : "I"]) / query.length,
    numGaps: counts.I + counts.D,
  };
}

/** Align `inner` within `outer` with as few errors as possible; overhanging ends of `outer` are free.
 *
 * @returns {{errors: number, runs: [string, number][]}} Errors, and the runs of equal operations.
 */
export function alignWithin(inner, outer) {
  const [left, right] = symbolsOf(inner, outer);
  // The first end at which the fewest errors are reached, and from there the earliest start.
  const whole = lastRow(left, right, true);
  let end = 1;
  for (let place = 2; place <= right.length; place++) if (whole[place] < whole[end]) end = place;
  const errors = whole[end];
  const back = lastRow(left.slice().reverse(), right.slice(0, end).reverse(), false);
  let size = 1;
  for (let place = 2; place <= end; place++) if (back[place] <= back[size]) size = place;
  const operations = traceBack(left, right.subarray(end - size, end));
  const runs = [];
  for (const operation of operations) {
    const last = runs[runs.length - 1];
    if (last && last[0] === operation) last[1]++;
    else runs.push([operation, 1]);
  }
  return { errors, runs };
}

/** Write letters as sets of bits: two match if they share one. N matches A, C, G and T. */
function symbolsOf(...texts) {
  const bits = { A: 1, C: 2, G: 4, T: 8, N: 31 };
  const known = [..."RYSWKMBDHV"];
  known.forEach((letter, place) => (bits[letter] = 1 << (place + 5)));
  return texts.map((text) => Int32Array.from(text, (letter) => bits[letter]));
}

/** Errors of `left` against what ends at each place of `right`; with a free start or without. */
function lastRow(left, right, isFree) {
  const row = new Int32Array(right.length + 1);
  if (!isFree) for (let j = 1; j < row.length; j++) row[j] = j;
  for (let i = 0; i < left.length; i++) {
    const mine = left[i];
    let diagonal = row[0];
    let before = (row[0] = i + 1);
    for (let j = 1; j < row.length; j++) {
      const above = row[j];
      const paired = diagonal + (mine & right[j - 1] ? 0 : 1);
      const gap = (above < before ? above : before) + 1;
      before = paired < gap ? paired : gap;
      row[j] = before;
      diagonal = above;
    }
  }
  return row;
}

function traceBack(left, right) {
  const width = right.length + 1;
  const table = new Int16Array((left.length + 1) * width);
  for (let j = 0; j < width; j++) table[j] = j;
  for (let i = 1; i <= left.length; i++) {
    const above = (i - 1) * width;
    const here = i * width;
    table[here] = i;
    const mine = left[i - 1];
    let before = i;
    for (let j = 1; j < width; j++) {
      const diagonal = table[above + j - 1] + (mine & right[j - 1] ? 0 : 1);
      const gap = (table[above + j] < before ? table[above + j] : before) + 1;
      before = diagonal < gap ? diagonal : gap;
      table[here + j] = before;
    }
  }
  const operations = [];
  let i = left.length;
  let j = right.length;
  while (i || j) {
    const score = table[i * width + j];
    if (i && table[(i - 1) * width + j] + 1 === score) {
      operations.push("I");
      i--;
    } else if (j && table[i * width + j - 1] + 1 === score) {
      operations.push("D");
      j--;
    } else {
      i--;
      j--;
      operations.push(table[i * width + j] === score ? "=" : "X");
    }
  }
  return operations.reverse();
}

/** The runs of the overlap, between the overhanging ends. */
function insideOf(runs, errors) {
  const start = countOverhang(runs, errors);
  const rest = runs.slice(start);
  return rest.slice(0, rest.length - countOverhang(rest.slice().reverse(), errors));
}

/** Count the runs at the start of an alignment that hang over, see `count_overhang` in Python. */
function countOverhang(runs, errors) {
  const last = runs.findLastIndex(([operation]) => operation === "I") + 1;
  let score = 0;
  let lowest = 0;
  let overhang = 0;
  for (let number = 1; number <= last; number++) {
    const [operation, length] = runs[number - 1];
    if (operation === "=") {
      score += length;
      if (score > errors) break;
    } else {
      score -= length;
      if (operation === "I" && score < lowest) [lowest, overhang] = [score, number];
    }
  }
  return overhang;
}
