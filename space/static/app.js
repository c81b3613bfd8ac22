// The page: what a visitor gives, the answers, the map. All computing is done by worker.js.
//
// Whatever comes from a file is put in as text, never as HTML. Nothing is sent anywhere.
// Guarded by tests/browser/test_static_page.py.

import { drawMap } from "./drawing.js";
import { fillTable, percent } from "./answers.js";
import { RANKS } from "./names/judgement.js";

const MEGABYTE = 1e6;
const find = (id) => document.getElementById(id);
const state = { file: null, map: null, answers: null, isReady: false, isWorking: false };
let worker;

function say(text, isError = false) {
  find("said").textContent = text;
  find("said").classList.toggle("error", isError);
}

function refresh() {
  find("identify").disabled = !state.isReady || state.isWorking;
  find("working").hidden = !state.isWorking;
  find("saving").hidden = !state.answers;
  find("answers").hidden = !state.answers;
}

function startWorker() {
  worker = new Worker("worker.js", { type: "module" });
  worker.addEventListener("message", ({ data }) => HANDLERS[data.type](data));
  worker.addEventListener("error", ({ message }) => HANDLERS.failed({ text: message }));
  worker.postMessage({ type: "open" });
}

const HANDLERS = {
  loading({ done, total }) {
    find("loading").value = done / total;
    const shown = [done, total].map((bytes) => (bytes / MEGABYTE).toFixed(0));
    find("library").textContent = `Loading the library: ${shown[0]} of ${shown[1]} MB …`;
  },

  ready({ about, map }) {
    state.map = map;
    state.isReady = true;
    find("loading").hidden = true;
    find("library").textContent =
      `Library ${about.name}: ${about.references.toLocaleString("en")} references, model ` +
      `${about.model.name} (${about.model.dtype}), ${(about.numBytes / MEGABYTE).toFixed(0)} MB, kept for the next visit.`;
    find("places").hidden = false;
    drawMap(state.map, []);
    refresh();
  },

  progress({ done, total }) {
    find("done").value = done / total;
    say(`Identifying: ${done.toLocaleString("en")} of ${total.toLocaleString("en")} …`);
  },

  answers(data) {
    state.isWorking = false;
    state.answers = data;
    say(summaryOf(data));
    fillTable(find("answers").querySelector("tbody"), data.shown);
    find("save-rejected").hidden = !data.rejected.length;
    drawMap(state.map, data.shown);
    refresh();
  },

  refused({ text }) {
    state.isWorking = false;
    const what = state.file ? state.file.name : "What you pasted";
    say(text ? `${what} ${text}.` : "Stopped; nothing was named.", Boolean(text));
    refresh();
  },

  failed({ text }) {
    state.isReady = state.isWorking = false;
    find("loading").hidden = true;
    find("library").textContent = `This page cannot go on: ${text}. Reload it to try again.`;
    find("library").classList.add("error");
    refresh();
  },
};

function summaryOf({ counts, mixture, seconds, shown }) {
  const { records, rejected, noBarcode, noName, ranks } = counts;
  const named = Object.keys(ranks)
    .sort((a, b) => b - a)
    .map((rank) => `${ranks[rank].toLocaleString("en")} to ${RANKS[rank]}`);
  const parts = [
    `${records.toLocaleString("en")} records in ${seconds.toFixed(1)} s`,
    named.length ? `named: ${named.join(", ")}` : "none named",
    noName && `${noName} without a name`,
    noBarcode && `${noBarcode} no barcodes`,
    rejected && `${rejected} rejected`,
  ];
  const known = mixture[mixture.length - 1];
  const rest = records > shown.length ? ` The first ${shown.length} are shown; the table that is saved holds all.` : "";
  return `${parts.filter(Boolean).join("; ")}. About ${percent(known)} of the sample's barcodes are of species in the library.${rest}`;
}

async function identify() {
  state.answers = null;
  const text = find("text").value;
  if (!state.file && !text.trim()) {
    say("There is nothing to identify yet: paste FASTA or open a file.", true);
    refresh();
    return;
  }
  const bytes = state.file ? await contentOf(state.file) : new TextEncoder().encode(text);
  if (!bytes) return;
  state.isWorking = true;
  find("done").value = 0;
  say("Identifying …");
  refresh();
  worker.postMessage({ type: "identify", bytes });
}

async function contentOf(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    say(`${file.name} cannot be read.`, true);
    return null;
  }
}

function choose(file) {
  state.file = file;
  find("chosen").textContent = file ? `${file.name}, ${(file.size / MEGABYTE).toFixed(2)} MB` : "";
  if (file) find("text").value = "";
}

function clear() {
  choose(null);
  find("file").value = "";
  find("text").value = "";
  state.answers = null;
  say("Paste barcodes and press Identify.");
  if (state.map) drawMap(state.map, []);
  refresh();
}

function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "text/tab-separated-values" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function offerExample() {
  const answer = await fetch("example.fasta").catch(() => null);
  if (!answer?.ok) return;
  const text = await answer.text();
  find("example").hidden = false;
  find("example").addEventListener("click", () => {
    choose(null);
    find("text").value = text;
  });
}

function listenForFiles() {
  find("file").addEventListener("change", ({ target }) => choose(target.files[0] ?? null));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
  });
}

/** Let the page work without a network from now on; without it, it works all the same. */
async function keepForOffline() {
  if (!navigator.serviceWorker) return;
  await navigator.serviceWorker.register("sw.js", { type: "module" });
  await navigator.serviceWorker.ready;
  document.documentElement.dataset.offline = "ready";
}

find("text").addEventListener("input", () => choose(null));
find("identify").addEventListener("click", identify);
find("stop").addEventListener("click", () => worker.postMessage({ type: "stop" }));
find("clear").addEventListener("click", clear);
find("save").addEventListener("click", () => save(state.answers.tsv, "barcodemae.tsv"));
find("save-rejected").addEventListener("click", () =>
  save(state.answers.rejected, "barcodemae.rejected.tsv"),
);
window.addEventListener("resize", () => {
  if (state.map) drawMap(state.map, state.answers?.shown ?? []);
});
listenForFiles();
refresh();
startWorker();
offerExample();
keepForOffline().catch(() => undefined);
