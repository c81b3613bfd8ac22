// The barcode frame: where in the barcode a sequence starts, by whole-number scores.
//
// The same as tokenization/barcode_frame.py, one sequence at a time: a placement depends on the
// sequence alone. The scores themselves are computed by Python and come with the library.
// Guarded by tests/browser/test_static_page.py.

import { NO_BASE, PLACING_CODES, codesOf } from "./letters.js";

export const STEPS_PER_NAT = 16;
export const MIN_SCORE = 20 * STEPS_PER_NAT;
export const MIN_OVERLAP_BP = 40;
export const MAX_LETTERS = 2048;
const NEAR_BP = 128;
const NEAR_SCORE_PER_LETTER = 0.4 * STEPS_PER_NAT;

/** Write a sequence as letter codes, as much of it as is searched. */
export function letterCodes(text) {
  return codesOf(text, PLACING_CODES, Math.min(text.length, MAX_LETTERS));
}

export class BarcodeFrame {
  /** @param {number[][]} scores Log-odds of each base at each site, in sixteenths of a nat, (W, 4). */
  constructor(scores) {
    this.width = scores.length;
    this.table = new Int32Array((this.width + 1) * 5); // a column and a row of zeros
    scores.forEach((bases, site) => this.table.set(bases, site * 5));
  }

  /** Score of a letter at a site; 0 outside of the frame. */
  scoreAt(site, code) {
    return site >= 0 && site < this.width ? this.table[site * 5 + code] : 0;
  }

  /** Scores of all letters of a sequence that starts at a site. */
  letterScores(codes, start) {
    const scores = new Int32Array(codes.length);
    for (let place = 0; place < codes.length; place++) {
      scores[place] = this.scoreAt(start + place, codes[place]);
    }
    return scores;
  }

  /** Find where a sequence fits best without indels: `{start, score}`. */
  search(codes) {
    let length = 0;
    for (const code of codes) if (code !== NO_BASE) length++;
    const lowest = Math.min(MIN_OVERLAP_BP - length, 0);
    const highest = Math.max(this.width - MIN_OVERLAP_BP, 0);
    const near = this.bestStart(codes, Math.max(-NEAR_BP, lowest), Math.min(NEAR_BP, highest));
    const numScored = Math.min(length, Math.max(this.width - NEAR_BP, MIN_OVERLAP_BP));
    if (near.score >= numScored * NEAR_SCORE_PER_LETTER) return near;
    return this.bestStart(codes, lowest, highest);
  }

  /** Score the starts from `first` to `last`; the lowest of equally good ones wins. */
  bestStart(codes, first, last) {
    const { table, width } = this;
    let best = first;
    let highest = -Infinity;
    for (let start = first; start <= last; start++) {
      const end = Math.min(codes.length, width - start);
      let total = 0;
      for (let place = Math.max(-start, 0); place < end; place++) {
        total += table[(start + place) * 5 + codes[place]];
      }
      if (total > highest) {
        highest = total;
        best = start;
      }
    }
    return { start: best, score: highest };
  }
}
