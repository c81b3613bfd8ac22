// ONNX Runtime in the browser: the encoder's graph, and products for the search.
//
// In: ONNX Runtime and a library. Out: `embed` and `multiply`, which `identify.js` calls. Batches hold
// what is alike, and not, as in Python, only sequences with the same bounds: the last bit of a vector
// may depend on its batch here. Guarded by tests/browser/test_static_page.py.

import { NO_BASE } from "./letters.js";

const ROWS = 32; // of a batch

/** Open the graphs of a library. */
export async function openEngine(ort, library) {
  const options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
  const model = await ort.InferenceSession.create(library.graph, options);
  const search = await ort.InferenceSession.create(library.searchGraph, options);

  /** Compute the vectors of rows of site codes; `onRows` is told how many are done, and waited for. */
  async function embed(codes, onRows = () => {}) {
    const vectors = new Array(codes.length);
    const order = orderOf(codes);
    for (let start = 0; start < order.length; start += ROWS) {
      const rows = order.slice(start, start + ROWS);
      const width = codes[0].length;
      const letters = new Uint8Array(rows.length * width);
      rows.forEach((row, place) => letters.set(codes[row], place * width));
      const given = { letters: new ort.Tensor("uint8", letters, [rows.length, width]) };
      const { data } = (await model.run(given)).embedding;
      const size = library.dimensions;
      rows.forEach((row, place) => (vectors[row] = data.slice(place * size, (place + 1) * size)));
      await onRows(start + rows.length);
    }
    return vectors;
  }

  /** Multiply vectors of references (rows, D) with those of queries (D, Q). */
  async function multiply(references, numRows, queries, numQueries) {
    const given = {
      references: new ort.Tensor("float32", references, [numRows, library.dimensions]),
      queries: new ort.Tensor("float32", queries, [library.dimensions, numQueries]),
    };
    return (await search.run(given)).scores.data;
  }

  return { embed, multiply };
}

/** Sequences that begin and end at similar sites share a batch. */
function orderOf(codes) {
  const ends = codes.map((row) => {
    const first = row.findIndex((code) => code !== NO_BASE);
    const last = row.findLastIndex((code) => code !== NO_BASE);
    return [row.length - 1 - last, first];
  });
  const rows = [...codes.keys()];
  return rows.sort((a, b) => ends[a][0] - ends[b][0] || ends[a][1] - ends[b][1]);
}
