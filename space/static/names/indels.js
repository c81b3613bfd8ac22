// Indels of a barcode: the segments of a sequence, each at its own shift from the frame.
//
// The same as tokenization/barcode_anchors.py, barcode_shifts.py and barcode_indels.py, one sequence
// at a time. Scores are whole numbers, so sums are exact in any order.
// Guarded by tests/browser/test_static_page.py.

import { NO_BASE } from "./letters.js";
import { MAX_LETTERS, MIN_OVERLAP_BP, MIN_SCORE, STEPS_PER_NAT, letterCodes } from "./frame.js";

export const MIN_UNKNOWN_BP = 5;
const WINDOW_BP = 64;
const STRIDE_BP = 32;
const MIN_ANCHOR_SCORE = 15 * STEPS_PER_NAT;
const MAX_SHIFT_BP = 12;
const INDEL_COST = 10 * STEPS_PER_NAT;
const UNKNOWN_COST = 5 * STEPS_PER_NAT;
const END_COST = INDEL_COST;
const OUTSIDE = -(2 ** 24);
const CUT = -1;

/** Mark the letters of each run of at least `MIN_UNKNOWN_BP` unknown letters. */
function unknownRuns(codes) {
  const isRun = new Uint8Array(codes.length);
  for (let start = 0; start < codes.length; start++) {
    if (codes[start] !== NO_BASE) continue;
    let stop = start;
    while (stop < codes.length && codes[stop] === NO_BASE) stop++;
    if (stop - start >= MIN_UNKNOWN_BP) isRun.fill(1, start, stop);
    start = stop;
  }
  return isRun;
}

/** Lay windows over the pieces of a sequence between its long runs of unknown letters. */
function windowsOf(isRun) {
  const windows = [];
  let start = 0;
  while (start < isRun.length) {
    if (isRun[start]) {
      start++;
      continue;
    }
    let stop = start;
    while (stop < isRun.length && !isRun[stop]) stop++;
    const last = Math.max(stop - WINDOW_BP, start);
    for (let first = start; first < last; first += STRIDE_BP) {
      windows.push([first, Math.min(first + WINDOW_BP, stop)]);
    }
    windows.push([last, Math.min(last + WINDOW_BP, stop)]);
    start = stop;
  }
  return windows.filter(([first, end]) => end - first >= MIN_OVERLAP_BP);
}

/** List the shifts that the letters of a sequence may have, in rising order. */
function candidateShifts(frame, codes, found) {
  const placed = windowsOf(unknownRuns(codes)).map(([first, stop]) => {
    const { start, score } = frame.bestStart(
      codes.subarray(first, stop),
      MIN_OVERLAP_BP - WINDOW_BP,
      Math.max(frame.width - MIN_OVERLAP_BP, 0),
    );
    return { shift: start - first, score };
  });
  const best = Math.max(...placed.map((window) => window.score));
  const shifts = placed
    .filter(({ score }) => score >= MIN_ANCHOR_SCORE || score === best)
    .map(({ shift }) => shift);
  if (found.score >= MIN_SCORE) shifts.push(found.start);
  const every = new Set();
  for (const shift of shifts) {
    for (let by = -MAX_SHIFT_BP; by <= MAX_SHIFT_BP; by++) every.add(shift + by);
  }
  return Int32Array.from(every).sort();
}

/** What it costs that a letter has another shift than the letter before. */
function shiftCosts(codes) {
  const isRun = unknownRuns(codes);
  const costs = new Int32Array(codes.length).fill(INDEL_COST);
  for (let place = 1; place < codes.length; place++) {
    if (isRun[place - 1] && !isRun[place]) costs[place] = UNKNOWN_COST;
  }
  return costs;
}

function followsUnknownRun(codes) {
  return shiftCosts(codes).includes(UNKNOWN_COST);
}

/** Find the shift of every letter by dynamic programming, the Viterbi algorithm with free ends. */
function bestShifts(frame, codes, candidates) {
  const numLetters = codes.length;
  const numShifts = candidates.length;
  const costs = shiftCosts(codes);
  const cameFrom = new Int16Array(numLetters * numShifts).fill(CUT);
  const best = new Int32Array(numLetters);
  const highest = new Int32Array(numLetters);
  const total = new Int32Array(numShifts);
  for (let letter = 0; letter < numLetters; letter++) {
    let source = CUT;
    let entered = 0;
    if (letter) {
      const afterIndel = highest[letter - 1] - costs[letter];
      source = afterIndel > -END_COST ? best[letter - 1] : CUT;
      entered = Math.max(afterIndel, -END_COST);
    }
    for (let shift = 0; shift < numShifts; shift++) {
      const score = frame.scoreAt(candidates[shift] + letter, codes[letter]);
      if (!letter) {
        total[shift] = score;
        continue;
      }
      const isEntered = entered > total[shift];
      cameFrom[letter * numShifts + shift] = isEntered ? source : shift;
      total[shift] = (isEntered ? entered : total[shift]) + score;
    }
    best[letter] = firstHighest(total);
    highest[letter] = total[best[letter]];
  }
  const end = firstHighest(highest);
  const isWhole = highest[numLetters - 1] >= highest[end] - END_COST;
  const last = isWhole ? numLetters - 1 : end;
  let state = best[last];
  const shifts = new Int32Array(numLetters).fill(OUTSIDE);
  for (let letter = last; letter >= 0 && state !== CUT; letter--) {
    shifts[letter] = candidates[state];
    state = cameFrom[letter * numShifts + state];
  }
  return shifts;
}

function firstHighest(values) {
  let place = 0;
  for (let other = 1; other < values.length; other++) {
    if (values[other] > values[place]) place = other;
  }
  return place;
}

/** Cut a sequence where the shift of its letters changes. */
function fitOfShifts(frame, codes, shifts) {
  const segments = [];
  for (let start = 0; start < shifts.length; ) {
    let stop = start + 1;
    while (stop < shifts.length && shifts[stop] === shifts[start]) stop++;
    if (shifts[start] !== OUTSIDE) {
      addSegment(frame, codes, segments, { start, stop, site: shifts[start] + start });
    }
    start = stop;
  }
  const costs = shiftCosts(codes);
  let score = 0;
  segments.forEach((part, place) => {
    for (const value of segmentScores(frame, codes, part)) score += value;
    if (place) score -= costs[part.start];
  });
  for (const end of [shifts[0], shifts[shifts.length - 1]]) {
    if (end === OUTSIDE) score -= END_COST;
  }
  return { segments, score, fits: score >= MIN_SCORE };
}

function segmentScores(frame, codes, { start, stop, site }) {
  return frame.letterScores(codes.subarray(start, stop), site);
}

/** Sums of the first values: of none, one, two, ... */
function runningSums(values) {
  const sums = new Int32Array(values.length + 1);
  values.forEach((value, place) => (sums[place + 1] = sums[place] + value));
  return sums;
}

/** Append a segment; where it would take sites that are taken, the better letters stay. */
function addSegment(frame, codes, segments, segment) {
  let added = segment;
  while (segments.length && added.start < added.stop) {
    const before = segments[segments.length - 1];
    const size = before.stop - before.start;
    const overlap = before.site + size - added.site;
    if (overlap <= 0) break;
    const lostBefore = runningSums(segmentScores(frame, codes, before).reverse());
    const lostAdded = runningSums(segmentScores(frame, codes, added));
    const fewest = Math.max(overlap - lostAdded.length + 1, 0);
    let cut = -1;
    let least = Infinity;
    for (let t = Math.min(fewest, size); t <= Math.min(overlap, size); t++) {
      const loss = lostBefore[t] + lostAdded[t === size ? 0 : overlap - t];
      if (loss < least) [least, cut] = [loss, t];
    }
    if (fewest && least >= lostAdded[lostAdded.length - 1]) return;
    segments.pop();
    if (cut < size) {
      segments.push({ ...before, stop: before.stop - cut });
      const skipped = overlap - cut;
      added = { start: added.start + skipped, stop: added.stop, site: added.site + skipped };
    }
  }
  if (added.start < added.stop) segments.push(added);
}

/** The most that any stretch of letters loses. */
function largestDrop(scores) {
  let total = 0;
  let highest = 0;
  let drop = 0;
  for (const score of scores) {
    total += score;
    highest = Math.max(highest, total);
    drop = Math.max(drop, highest - total);
  }
  return drop;
}

/** Whether a sequence of several pieces stands partly outside of the frame. */
function reachesOut(frame, codes, start) {
  let length = codes.length;
  while (length && codes[length - 1] === NO_BASE) length--;
  return (start < 0 || start + length > frame.width) && followsUnknownRun(codes);
}

/** Find how sequences that are placed together fit the frame: `{segments, score, fits}` each. */
export function findFits(frame, texts) {
  // Windows of a sequence are laid over the letters and the padding of the rectangle it stands in.
  const longest = Math.max(0, ...texts.map((text) => Math.min(text.length, MAX_LETTERS)));
  return texts.map((text) => findFit(frame, text, longest));
}

function findFit(frame, text, longest) {
  const codes = letterCodes(text);
  const found = frame.search(codes);
  const isPlaced = found.score >= MIN_SCORE;
  const start = isPlaced ? found.start : 0;
  const whole = {
    segments: [{ start: 0, stop: text.length, site: start }],
    score: found.score,
    fits: isPlaced,
  };
  const drop = largestDrop(frame.letterScores(codes, start));
  if (drop <= INDEL_COST && !reachesOut(frame, codes, start)) return whole;
  const padded = new Uint8Array(longest).fill(NO_BASE);
  padded.set(codes);
  const candidates = candidateShifts(frame, padded, found);
  if (!candidates.length) return whole;
  const fit = fitOfShifts(frame, codes, bestShifts(frame, codes, candidates));
  return fit.fits ? fit : whole;
}

/** Write a sequence site by site from its first segment on, N for each deleted base. */
export function lettersInFrame(text, segments) {
  let letters = "";
  let nextSite = segments[0].site;
  for (const { start, stop, site } of segments) {
    letters += "N".repeat(site - nextSite) + text.slice(start, stop);
    nextSite = site + stop - start;
  }
  return letters;
}
