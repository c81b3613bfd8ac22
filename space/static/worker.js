// The worker of the page: opens the library and names records, off the page's own thread.
//
// In: messages {type: "open"}, {type: "identify", bytes}, {type: "stop"}. Out: messages "loading",
// "ready", "progress", "answers", "refused" and "failed". It asks for files of this site and for
// nothing else. Guarded by tests/browser/test_static_page.py.

import * as ort from "./vendor/ort.wasm.min.mjs";
import { openEngine } from "./names/engine.js";
import { InputError, encoded, readRecords } from "./names/fasta.js";
import { Identifier } from "./names/identify.js";
import { DESCRIPTION, openLibrary } from "./names/library.js";
import { makeMap } from "./names/map.js";
import { toRejected, toTsv } from "./names/table.js";

const FOLDER = new URL("library/", import.meta.url);
const CACHE = "barcodemae-library";
const MOST_SHOWN = 500; // records in the page; the table that is saved holds all
const MOST_THREADS = 8;

class Stopped extends Error {}

let identifier;
let map;
let isStopped = false;

/** Get a file of the library: what is kept of an earlier visit, if it is the same. */
async function keptFile(url) {
  const cache = await globalThis.caches?.open(CACHE).catch(() => undefined);
  const kept = await cache?.match(url);
  if (kept) return new Uint8Array(await kept.arrayBuffer());
  const bytes = await fetched(url);
  await cache?.put(url, new Response(bytes)).catch(() => undefined); // the disk may be full
  return bytes;
}

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new InputError(`the library is incomplete: no ${new URL(url).pathname}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Get the description anew where there is a network, as it tells which other files are current. */
async function newestDescription() {
  const url = new URL(DESCRIPTION, FOLDER).href;
  const cache = await globalThis.caches?.open(CACHE).catch(() => undefined);
  try {
    const bytes = await fetched(url);
    await cache?.put(url, new Response(bytes)).catch(() => undefined);
    return bytes;
  } catch (error) {
    const kept = await cache?.match(url);
    if (!kept) throw error;
    return new Uint8Array(await kept.arrayBuffer());
  }
}

/** Forget files of libraries that were here before. */
async function forgetOthers(urls) {
  const cache = await globalThis.caches?.open(CACHE).catch(() => undefined);
  for (const { url } of (await cache?.keys()) ?? []) if (!urls.has(url)) await cache.delete(url);
}

async function open() {
  ort.env.wasm.wasmPaths = new URL("vendor/", import.meta.url).href;
  const numCores = Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS);
  ort.env.wasm.numThreads = self.crossOriginIsolated ? numCores : 1;
  let files = {};
  const used = new Set([new URL(DESCRIPTION, FOLDER).href]);
  let numBytes = 0;
  const get = async (name) => {
    if (name === DESCRIPTION) {
      const bytes = await newestDescription();
      files = JSON.parse(new TextDecoder().decode(bytes)).files;
      return bytes;
    }
    const url = new URL(`${name}?${files[name].sha256.slice(0, 16)}`, FOLDER).href;
    used.add(url);
    return keptFile(url);
  };
  const library = await openLibrary(get, (name) => {
    numBytes += files[name].bytes;
    const total = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
    postMessage({ type: "loading", done: numBytes, total });
  });
  await forgetOthers(used);
  identifier = new Identifier(library, await openEngine(ort, library));
  map = makeMap(library);
  const { placeOf: _, ...shown } = map;
  const { name, references, model } = library.description;
  postMessage({ type: "ready", about: { name, references, model, numBytes }, map: shown });
}

async function identify(bytes) {
  isStopped = false;
  const records = await readRecords(bytes);
  const start = performance.now();
  const { named, mixture } = await identifier.identify(records, async (done) => {
    postMessage({ type: "progress", done, total: records.length });
    await new Promise((resolve) => setTimeout(resolve)); // lets a message to stop come in
    if (isStopped) throw new Stopped();
  });
  const seconds = (performance.now() - start) / 1000;
  const shown = named.slice(0, MOST_SHOWN).map(({ vector, ...found }) => ({
    ...found,
    at: vector ? map.placeOf(vector) : null,
  }));
  const tsv = encoded(toTsv(named));
  const rejected = encoded(toRejected(named));
  postMessage({ type: "answers", shown, counts: countsOf(named), mixture, seconds, tsv, rejected });
}

/** Count what became of the records: every one of them is in exactly one place. */
function countsOf(named) {
  const counts = { records: named.length, rejected: 0, noBarcode: 0, noName: 0, ranks: {} };
  for (const found of named) {
    if (found.reason) counts.rejected++;
    else if (!found.placed.isBarcode) counts.noBarcode++;
    else {
      const rank = found.names.slice(0, found.depth).findLastIndex((name) => name !== null);
      if (rank < 0) counts.noName++;
      else counts.ranks[rank] = (counts.ranks[rank] ?? 0) + 1;
    }
  }
  return counts;
}

self.addEventListener("message", async ({ data }) => {
  if (data.type === "stop") {
    isStopped = true;
    return;
  }
  try {
    if (data.type === "open") await open();
    else await identify(data.bytes);
  } catch (error) {
    const isTold = error instanceof InputError || error instanceof Stopped;
    const text = error instanceof Stopped ? "" : error.message;
    postMessage({ type: isTold && data.type !== "open" ? "refused" : "failed", text });
  }
});
