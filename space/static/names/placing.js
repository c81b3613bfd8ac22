// Whether a sequence is a barcode, where in the frame its letters stand, and on which strand.
//
// The same as tokenization/barcode_placement.py, and `codes_of` of
// eval/embed/graph/graph_embedder.py. Guarded by tests/browser/test_static_page.py.

import {
  GRAPH_CODES,
  NO_BASE,
  codesOf,
  countBases,
  readLetters,
  reverseComplement,
} from "./letters.js";
import { STEPS_PER_NAT } from "./frame.js";
import { MIN_UNKNOWN_BP, findFits, lettersInFrame } from "./indels.js";

const MIN_NATS = 20.0;
const MIN_NATS_PER_LETTER = 0.08;
const MARK_BP = 3;
const RUN_MARK_BP = 15;
const UNKNOWN_RUN = "N".repeat(MIN_UNKNOWN_BP);

/** Find whether, where and on which strand each of some sequences is a barcode. */
export function place(frame, sequences) {
  const texts = sequences.map(readLetters);
  const fits = findFits(frame, texts);
  const placed = texts.map((text, row) => describe(frame, text, fits[row], false));
  const rows = [...texts.keys()].filter((row) => !placed[row].isBarcode);
  const turned = rows.map((row) => reverseComplement(texts[row]));
  findFits(frame, turned).forEach((fit, number) => {
    const row = rows[number];
    const before = fits[row];
    if (fit.fits === before.fits ? fit.score > before.score : fit.fits) {
      placed[row] = describe(frame, turned[number], fit, true);
    }
  });
  return placed;
}

function describe(frame, text, fit, isReverse) {
  const first = fit.segments[0];
  const last = fit.segments[fit.segments.length - 1];
  const whole = lettersInFrame(text, fit.segments);
  const inside = whole.slice(Math.max(-first.site, 0), Math.max(frame.width - first.site, 0));
  const letters = inside.replace(/^N+/, "");
  const tooFar = Math.max(last.site + last.stop - last.start - frame.width, 0);
  const numKnown = countBases(letters);
  const score = fit.score / STEPS_PER_NAT;
  const [numGained, numLost] = countIndels(text, fit.segments);
  return {
    letters: letters.replace(/N+$/, ""),
    site: letters ? Math.max(first.site, 0) + inside.length - letters.length : 0,
    isReverse,
    evidence: score / Math.max(numKnown, 1),
    isBarcode: fit.fits && score >= Math.max(MIN_NATS, MIN_NATS_PER_LETTER * numKnown),
    numBefore: countBases(text.slice(0, first.start + Math.max(-first.site, 0))),
    // A negative place would count from the end, as it does in Python.
    numAfter: countBases(text.slice(last.stop - tooFar)),
    numGained,
    numLost,
  };
}

/** Count inserted and deleted bases between segments, except where letters are unknown. */
function countIndels(text, segments) {
  let numGained = 0;
  let numLost = 0;
  for (let place = 1; place < segments.length; place++) {
    const before = segments[place - 1];
    const after = segments[place];
    const around = text.slice(Math.max(before.stop - MARK_BP, 0), after.start + MARK_BP);
    const further = text.slice(Math.max(before.stop - RUN_MARK_BP, 0), after.start + RUN_MARK_BP);
    if (countBases(around) === around.length && !further.includes(UNKNOWN_RUN)) {
      numGained += after.start - before.stop;
      numLost += after.site - (before.site + before.stop - before.start);
    }
  }
  return [numGained, numLost];
}

/** Write placed letters as codes from the first site on, as the graph reads them. */
export function siteCodes(placed, numSites, k) {
  return placed.map(({ site, letters }) => {
    const codes = new Uint8Array(numSites).fill(NO_BASE);
    writeRow(codes, site, letters);
    if (!hasKmer(codes, k)) {
      codes.fill(NO_BASE);
      writeRow(codes, 0, letters); // as without a frame
    }
    return codes;
  });
}

function writeRow(codes, site, letters) {
  const found = codesOf(letters.slice(Math.max(-site, 0)), GRAPH_CODES);
  const start = Math.min(Math.max(site, 0), codes.length);
  codes.set(found.subarray(0, codes.length - start), start);
}

function hasKmer(codes, k) {
  for (let start = 0; start < codes.length; start += k) {
    if (codes.subarray(start, start + k).every((code) => code < NO_BASE)) return true;
  }
  return false;
}
