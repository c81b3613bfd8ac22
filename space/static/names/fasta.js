// The reader of FASTA: it loses no record, however malformed.
//
// The same as src/barcodemae/fasta.py for FASTA, plain or packed with gzip; of what it does not
// read it says so. In: bytes. Out: records {number, id, header, sequence, problem, key}, where key
// is the hash by which the sample is drawn. Guarded by tests/browser/test_static_page.py.

import { blake2b64 } from "./blake2.js";

const LONGEST = 1_000_000;
const TOO_LONG = `too long for a barcode: more than ${LONGEST.toLocaleString("en")} letters`;
const WIDEST_WRAPPED = 80; // letters of a line of one sequence; fewer than any that is named
const KINDS = [
  [[0x50, 0x4b, 3, 4], "a ZIP archive or an Excel file"],
  [[0x42, 0x5a, 0x68], "packed with bzip2"],
  [[0xfd, 0x37, 0x7a, 0x58], "packed with xz"],
  [[0x28, 0xb5, 0x2f, 0xfd], "packed with zstd"],
  [[0x25, 0x50, 0x44, 0x46], "a PDF file"],
];
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Something that a visitor can put right. */
export class InputError extends Error {}

/** Read the records of a file.
 *
 * @param {Uint8Array} bytes Content of the file.
 */
export async function readRecords(bytes) {
  const text = await plainText(bytes);
  const records = [];
  let number = 0;
  for (const [header, letters] of entriesOf(text)) records.push(makeRecord(++number, header, letters));
  if (!records.length) throw new InputError("holds no sequences");
  if (records.length === 1 && !records[0].header) checkBareSequence(text);
  return records;
}

/** Refuse lines without any header, unless they are one sequence: a line, or broken evenly. */
function checkBareSequence(text) {
  const lengths = text.split("\n").map((line) => line.replace(/\s/g, "").length);
  const filled = lengths.filter((length) => length > 0);
  const whole = filled.slice(0, -1);
  const isEven = whole.every((length) => length === whole[0] && length <= WIDEST_WRAPPED);
  if (isEven && (!whole.length || filled.at(-1) <= whole[0])) return;
  throw new InputError(
    `holds ${filled.length.toLocaleString("en")} lines and no header: put a line that begins with > above each sequence`,
  );
}

async function plainText(bytes) {
  let found = bytes;
  if (startsWith(found, [0x1f, 0x8b])) found = await unpacked(found);
  const kind = KINDS.find(([magic]) => startsWith(found, magic));
  if (kind) throw new InputError(`is ${kind[1]}; save it as FASTA text`);
  const wide = startsWith(found, [0xff, 0xfe]) ? "utf-16le" : startsWith(found, [0xfe, 0xff]) && "utf-16be";
  if (wide) found = new TextEncoder().encode(new TextDecoder(wide).decode(found));
  if (startsWith(found, [0xef, 0xbb, 0xbf])) found = found.subarray(3);
  return latin(found).replace(/\r\n?/g, "\n");
}

function startsWith(bytes, magic) {
  return magic.every((value, place) => bytes[place] === value);
}

/** Unpack what gzip packed. */
export async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new InputError("is a damaged or cut-off gzip file");
  }
}

/** Bytes as a string of as many letters, each of one byte. */
function latin(bytes) {
  const parts = [];
  for (let start = 0; start < bytes.length; start += 8192) {
    parts.push(String.fromCharCode(...bytes.subarray(start, start + 8192)));
  }
  return parts.join("");
}

function* entriesOf(text) {
  let header = null; // what stands before the first header has none
  let letters = [];
  let isFirst = true;
  for (const line of text.split("\n")) {
    if (isFirst && !/[^\t-\r ]/.test(line)) continue;
    if (isFirst && line.startsWith("@")) {
      throw new InputError("is FASTQ; this page reads FASTA, `barcodemae identify` reads both");
    }
    isFirst = false;
    if (line.startsWith(">")) {
      if (header !== null || letters.length) yield [header ?? "", letters.join("")];
      [header, letters] = [line.slice(1), []];
    } else if (line && !line.startsWith(";") && !line.startsWith("#")) {
      letters.push(line);
    }
  }
  if (header !== null || letters.length) yield [header ?? "", letters.join("")];
}

function makeRecord(number, header, letters) {
  const problem = letters.length > LONGEST ? TOO_LONG : "";
  const kept = problem ? "" : letters;
  const name = header.match(/[^\t-\r ]+/)?.[0] ?? "";
  return {
    number,
    id: decoded(name),
    header: decoded(header),
    sequence: decoded(kept),
    problem,
    key: blake2b64(bytesOf(`${kept}\n${name}`)),
  };
}

function bytesOf(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Read UTF-8; a byte that is none becomes a lone surrogate, as in Python. */
function decoded(text) {
  if (!/[\x80-\xff]/.test(text)) return text;
  const bytes = bytesOf(text);
  try {
    return decoder.decode(bytes);
  } catch {
    return escaped(bytes);
  }
}

function escaped(bytes) {
  let text = "";
  for (let place = 0; place < bytes.length; ) {
    const lead = bytes[place];
    const size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    try {
      text += decoder.decode(bytes.subarray(place, place + size));
      place += size;
    } catch {
      text += String.fromCharCode(0xdc00 + lead);
      place++;
    }
  }
  return text;
}

/** Write text as UTF-8; lone surrogates become the bytes that they stand for. */
export function encoded(text) {
  if (!/[\udc80-\udcff]/.test(text)) return new TextEncoder().encode(text);
  const parts = text.split(/(?<![\ud800-\udbff])([\udc80-\udcff])/);
  const bytes = parts.flatMap((part, place) =>
    place % 2 ? [part.charCodeAt(0) - 0xdc00] : [...new TextEncoder().encode(part)],
  );
  return Uint8Array.from(bytes);
}
