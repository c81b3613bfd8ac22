// The service worker: the page works without a network once it has been loaded.
//
// `build.py` puts the files of the page and their hash in place of the two constants. Files of the
// library are kept by worker.js. Answers get the headers that let the page compute on several cores
// and that forbid it to reach any other site. Guarded by tests/browser/test_static_page.py.

const FILES = [];
const VERSION = "none";

const CACHE = `barcodemae-page-${VERSION}`;
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Content-Security-Policy":
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; " +
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'",
};

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOlder().then(() => self.clients.claim()));
});

async function forgetOlder() {
  const names = await caches.keys();
  const older = names.filter((name) => name.startsWith("barcodemae-page-") && name !== CACHE);
  await Promise.all(older.map((name) => caches.delete(name)));
}

self.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  if (new URL(request.url).origin !== self.location.origin) return Response.error();
  const cache = await caches.open(CACHE);
  const found = (await cache.match(request, { ignoreSearch: true })) ?? (await fetch(request));
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  const { status, statusText } = found;
  return new Response(found.body, { status, statusText, headers });
}
