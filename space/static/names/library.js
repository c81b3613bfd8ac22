// A reference library in the browser: the folder that `barcodemae index LIB --web DIR` writes.
//
// In: a function that gets a file by its name. Out: an object with what naming needs. Every file is
// checked against its size and, where the browser can, its SHA-256 before anything is named.
// Guarded by tests/browser/test_static_page.py.

import { BarcodeFrame } from "./frame.js";
import { frameCodes } from "./comparison.js";
import { InputError, unpacked } from "./fasta.js";
import { RANKS } from "./judgement.js";

const FORMAT_VERSION = 1;
export const DESCRIPTION = "web.json";

/** Open a library.
 *
 * @param {(name: string) => Promise<Uint8Array>} get Gets a file of the folder.
 * @param {(name: string) => void} onFile Told each file that has come.
 */
export async function openLibrary(get, onFile = () => {}) {
  const description = JSON.parse(new TextDecoder().decode(await get(DESCRIPTION)));
  if (description.format_version !== FORMAT_VERSION) {
    throw new InputError("the library is of another version; make it again with barcodemae index");
  }
  const files = {};
  for (const [name, expected] of Object.entries(description.files)) {
    files[name] = await checked(name, await get(name), expected);
    onFile(name);
  }
  return new Library(description, files);
}

async function checked(name, given, { bytes, sha256, unpacked: size }) {
  // Some servers unpack what ends in .gz on the way.
  const isPacked = given[0] === 0x1f && given[1] === 0x8b;
  const isWhole = given.length === (size && !isPacked ? size : bytes);
  const isSame = !isWhole || (size && !isPacked) || (await digestOf(given)) === sha256;
  if (!isWhole || !isSame) throw new InputError(`the library is damaged: ${name} is not what was written`);
  return size && isPacked ? unpacked(given) : given;
}

/** SHA-256 in hex digits. */
async function digestOf(bytes) {
  if (!globalThis.crypto?.subtle) throw new InputError("open this page by https, or from localhost");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((value) => value.toString(16).padStart(2, "0")).join("");
}

function aligned(bytes, kind) {
  return new kind(bytes.slice().buffer);
}

class Library {
  constructor(description, files) {
    const json = (name) => JSON.parse(new TextDecoder().decode(files[name]));
    this.description = description;
    this.calibration = description.calibration;
    this.thresholds = description.thresholds;
    this.taxa = description.taxa;
    this.flagged = new Set(description.flagged ?? []);
    this.sizes = description.sizes;
    this.numRanks = RANKS.length;
    this.dimensions = description.dimensions;
    this.numReferences = description.references;
    this.frame = new BarcodeFrame(description.frame_scores);
    this.width = description.frame_scores.length;
    this.isConserved = Uint8Array.from(description.is_conserved, Number);
    this.ids = json("ids.json.gz");
    this.barcodes = json("barcodes.json.gz");
    this.lineages = aligned(files["lineages.i32"], Int32Array);
    this.bins = aligned(files["bins.i32"], Int32Array);
    this.vectors = aligned(files["vectors.f32"], Float32Array);
    this.graph = files["model.onnx"];
    this.searchGraph = files["search.onnx"];
    this.letters = lettersOfAll(this.barcodes, aligned(files["sites.i32"], Int32Array), this.width);
    this.lengths = lengthsOf(this.vectors, this.dimensions);
    this.rowsByBarcode = new Map();
    this.barcodes.forEach((text, row) => {
      const rows = this.rowsByBarcode.get(text);
      if (rows) rows.push(row);
      else this.rowsByBarcode.set(text, [row]);
    });
  }

  lettersOf(row) {
    return this.letters.subarray(row * this.width, (row + 1) * this.width);
  }

  codeOf(row, rank) {
    return this.lineages[row * this.numRanks + rank];
  }

  lineageOf(row) {
    return [...this.lineages.subarray(row * this.numRanks, (row + 1) * this.numRanks)];
  }

  vectorOf(row) {
    return this.vectors.subarray(row * this.dimensions, (row + 1) * this.dimensions);
  }

  /** Rows of the references with exactly these letters, in order. */
  identicalTo(letters) {
    return this.rowsByBarcode.get(letters) ?? [];
  }

  /** Product of the vectors of two references. */
  product(one, other) {
    const [left, right] = [this.vectorOf(one), this.vectorOf(other)];
    let sum = 0;
    for (let place = 0; place < left.length; place++) sum += left[place] * right[place];
    return sum;
  }

  /** Cosine of a reference with a vector of a length, in 64 bits. */
  cosine(row, vector, length) {
    const start = row * this.dimensions;
    const mine = this.lengths[row] || 1;
    let sum = 0;
    for (let place = 0; place < vector.length; place++) {
      sum += (this.vectors[start + place] / mine) * (vector[place] / length);
    }
    return sum;
  }

  taxon(rank, code) {
    return code < 0 ? null : this.taxa[rank][code];
  }

  /** BIN of a reference and the agreement of its members; null where unknown. */
  binOf(row) {
    const number = this.bins[row];
    if (number < 0) return [null, null];
    const { names, agreement } = this.description.bins;
    return [names[number], agreement[number]];
  }
}

function lettersOfAll(barcodes, sites, width) {
  const letters = new Uint8Array(barcodes.length * width);
  barcodes.forEach((text, row) => {
    letters.set(frameCodes({ letters: text, site: sites[row] }, width), row * width);
  });
  return letters;
}

function lengthsOf(vectors, width) {
  const lengths = new Float64Array(vectors.length / width);
  for (let row = 0; row < lengths.length; row++) {
    let sum = 0;
    for (let place = row * width; place < (row + 1) * width; place++) sum += vectors[place] ** 2;
    lengths[row] = Math.sqrt(sum);
  }
  return lengths;
}
