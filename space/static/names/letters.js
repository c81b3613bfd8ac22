// The letters of a barcode as the field writes them, read as A, C, G, T and codes for the unsure.
//
// The same as src/barcodemae/conventions/letters.py and eval/embed/screening.py, step by step.
// Guarded by tests/browser/test_static_page.py, which compares every record with Python.

export const NO_BASE = 4; // code of an unknown letter, and of places that a sequence does not reach
const OTHER_LETTER = 5; // code of another ambiguous letter, in the letters of the graph
const NUCLEOTIDE_CODES = "ACGTRYSWKMBDHVN";
const STAND_INS = "?XI";
const MOST_STAND_INS = 0.1;
const LIMIT_TOLD = "up to 10% of ?, X and I are read as unknown bases";
// What Python takes for white space.
const WHITE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;
const OTHER_GAPS = /[.~\u2010\u2011\u2012\u2013\u2014\u2212]/g;
const COMPLEMENT = Object.fromEntries(
  [...NUCLEOTIDE_CODES].map((letter, place) => [letter, "TGCAYRSWMKVHDBN"[place]]),
);

/** Codes of the letters A, C, G, T (0 to 3); 4 for every other. */
export const BASE_CODES = tableOf(NO_BASE, ["A", "C", "G", "T"]);
/** Codes of letters as `letters` of the graph: N is 4, another ambiguous letter 5. */
export const GRAPH_CODES = tableOf(OTHER_LETTER, ["Aa", "Cc", "Gg", "TtUu", "Nn"]);
/** Codes of letters to be placed: U is T, and lower case counts. */
export const PLACING_CODES = tableOf(NO_BASE, ["Aa", "Cc", "Gg", "TtUu"]);

function tableOf(rest, letters) {
  const table = new Uint8Array(256).fill(rest);
  letters.forEach((some, code) => {
    for (const letter of some) table[letter.charCodeAt(0)] = code;
  });
  return table;
}

/** Write letters as codes by a table. */
export function codesOf(text, table, length = text.length) {
  const codes = new Uint8Array(length);
  for (let place = 0; place < length; place++) {
    const letter = text.charCodeAt(place);
    codes[place] = table[letter < 256 ? letter : 63];
  }
  return codes;
}

/** Read the letters of a barcode, see `clean` in letters.py. */
export function clean(sequence) {
  let text = sequence;
  if (!/^[\x00-\x7f]*$/.test(text)) text = text.normalize("NFKC");
  let letters = text.replace(WHITE, "").toUpperCase().replaceAll("U", "T");
  letters = letters.replace(OTHER_GAPS, "-");
  letters = letters.replace(/^[-?]+/, "").replace(/[-?*N]+$/, "");
  if (/^[ACGTRYSWKMBDHVN]*$/.test(letters)) return letters;
  const numGaps = letters.split("-").length - 1;
  if (numGaps) letters = letters.replaceAll("-", 2 * numGaps <= letters.length ? "N" : "");
  const numStandIns = letters.replace(/[^?XI]/g, "").length;
  if (numStandIns > MOST_STAND_INS * letters.length) return letters;
  return letters.replace(/[?XI]/g, "N").replace(/N+$/, "");
}

function isNothing(sequence) {
  const letters = sequence.replace(WHITE, "").replace(OTHER_GAPS, "-");
  return /^-*$/.test(letters);
}

/** Say why a k-mer model cannot read a sequence; null if it can. */
export function reasonUnusable(sequence, k, maxLetters = Infinity) {
  const letters = clean(sequence);
  if (!letters) return isNothing(sequence) ? "empty" : "nothing but N";
  const foreign = reasonNoDna(letters);
  if (foreign) return foreign;
  if (letters.length < k) {
    return `too short: ${letters.length} bases, the model reads k-mers of ${k}`;
  }
  const most = Math.min(letters.length, maxLetters);
  for (let start = 0; start + k <= most; start += k) {
    if (/^[ACGT]+$/.test(letters.slice(start, start + k))) return null;
  }
  return `no k-mer of ${k} bases without an ambiguous letter`;
}

function reasonNoDna(letters) {
  const every = [...letters];
  const first = every.findIndex((letter) => !NUCLEOTIDE_CODES.includes(letter));
  if (first < 0) return null;
  const foreign = [...new Set(every)].filter((letter) => !NUCLEOTIDE_CODES.includes(letter));
  foreign.sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
  const isStandIn = foreign.every((letter) => STAND_INS.includes(letter));
  const shown = foreign.map(printable).join(" ");
  const limit = isStandIn ? LIMIT_TOLD : "protein?";
  return `not DNA: letter(s) ${shown}, first at base ${first + 1} (${limit})`;
}

function printable(letter) {
  if (/[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(letter)) return letter;
  const code = letter.codePointAt(0).toString(16);
  return code.length < 3 ? `'\\x${code.padStart(2, "0")}'` : `'\\u${code.padStart(4, "0")}'`;
}

/** Count the letters A, C, G and T. */
export function countBases(letters) {
  let count = 0;
  for (let place = 0; place < letters.length; place++) {
    if (BASE_CODES[letters.charCodeAt(place) & 255] < NO_BASE) count++;
  }
  return count;
}

/** Remove white space and gaps at the ends; write N for each gap inside. */
function unknownForGaps(text) {
  return text.replace(WHITE, "").replace(/^[-.]+|[-.]+$/g, "").replace(/[-.]/g, "N");
}

/** Read a sequence to be placed: upper-case nucleotide codes, N for any other letter. */
export function readLetters(text) {
  const letters = unknownForGaps(text).toUpperCase().replaceAll("U", "T");
  return letters.replace(/[^ACGTRYSWKMBDHVN]/gu, "N");
}

/** Return the other strand of upper-case nucleotide codes. */
export function reverseComplement(letters) {
  let turned = "";
  for (let place = letters.length - 1; place >= 0; place--) turned += COMPLEMENT[letters[place]];
  return turned;
}

/** Whether any of the three forward frames is free of the stop codons TAA and TAG. */
export function hasOpenFrame(sequence) {
  const parts = sequence.replaceAll("TAG", "TAA").split("TAA");
  const frames = new Set();
  let length = 0;
  for (const part of parts.slice(0, -1)) {
    length += part.length;
    frames.add(length % 3);
  }
  return frames.size < 3;
}
