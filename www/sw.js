// @ts-check
/**
 * Keeps the page itself, so that a later visit needs no network. Models are not its business: weights/ keeps them.
 *
 * What is kept are editions: all files of SHELL as one deployment had them, named after a hash of their contents, so that no build step has to
 * name a version. A page and its workers get all their files from one edition, the newest when the page was opened: files of two deployments
 * never meet, whenever the server is updated and whatever its caching headers say. After each opening the server's files are compared with the
 * newest edition in the background (the browser's HTTP cache makes that twenty answers of "304 Not Modified"), and where they differ, twice in
 * the same way, lest it be in the midst of an upload, they become the next one: it is there at the next opening.
 *
 * On localhost the server comes first and the edition only where there is none: who develops never sees old code.
 */

/** All that the page loads by itself, relative to it. A test compares this list with what there is. */
const SHELL = [
  "./",
  "base/problem.js",
  "darkroom-studio.js",
  "engine/client.js",
  "engine/device.js",
  "engine/failures.js",
  "engine/tuning-cache.js",
  "engine/worker.js",
  "icon.svg",
  "main.js",
  "page.css",
  "pkg/darkroom.js",
  "pkg/darkroom_bg.wasm",
  "studio/address.js",
  "studio/controls.css",
  "studio/dropped-files.js",
  "studio/file-input.js",
  "studio/form.js",
  "studio/gallery.js",
  "studio/infotext.js",
  "studio/models.css",
  "studio/models.js",
  "studio/picture-view.js",
  "studio/picture.css",
  "studio/png-text.js",
  "studio/png.js",
  "studio/problems.js",
  "studio/progress.js",
  "studio/session.js",
  "studio/settings.css",
  "studio/settings.js",
  "studio/status-text.js",
  "studio/studio.css",
  "studio/template.js",
  "studio/theme.css",
  "weights/cache.js",
  "weights/checksum.js",
  "weights/chunks.js",
  "weights/fetch.js",
  "weights/limiter.js",
  "weights/local.js",
  "weights/remote-file.js",
  "weights/sha256.js",
  "weights/source.js",
  "weights/vocabulary.js",
];
/** Kept when it has been needed once: 1.4 MB that most visitors do without. */
const WHEN_USED = "vocab/";
const EDITION = "darkroom-shell-";
/** Which edition each open page and worker uses, and which is the newest: small texts under addresses that no server ever sees. */
const NOTES = "darkroom-shell";
const NEWEST = "newest";
const WRITTEN = "x-darkroom-written";
const SURELY_OPENED_MS = 600_000;
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const scope = () => worker.registration.scope;
const files = () => SHELL.map((file) => new URL(file, scope()).href);

worker.addEventListener("install", (event) => {
  void worker.skipWaiting();
  event.waitUntil(renew());
});

worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const file = fileOf(request);
  if (!file) return;
  const served = serve(event, file);
  event.respondWith(served);
  if (request.mode === "navigate") event.waitUntil(served.then(renew, () => {}));
});

/** The address under which a request's file is kept; null for what is not the page's. @param {Request} request */
function fileOf({ method, url }) {
  const { origin, pathname } = new URL(url);
  const { origin: ours, pathname: folder } = new URL(scope());
  if (method !== "GET" || origin !== ours || !pathname.startsWith(folder)) return null;
  const name = pathname.slice(folder.length).replace(/^(index\.html)?$/, "./");
  return SHELL.includes(name) || name.startsWith(WHEN_USED) ? new URL(name, scope()).href : null;
}

/**
 * @param {FetchEvent} event
 * @param {string} file
 */
async function serve(event, file) {
  const { request } = event;
  if (LOCAL.includes(new URL(file).hostname)) {
    const answer = await fetch(request).catch(() => null);
    return answer ?? kept(event, file);
  }
  return kept(event, file);
}

/**
 * A file out of the edition of whoever asks.
 * @param {FetchEvent} event
 * @param {string} file
 */
async function kept(event, file) {
  const { clientId, resultingClientId, request } = event;
  const edition =
    (request.mode === "navigate" ? null : await note(clientId)) ?? (await note(NEWEST));
  // The first visit's page came before there was any.
  if (!edition) return fetch(request);
  if (resultingClientId) await note(resultingClientId, edition);
  const cache = await caches.open(edition);
  const response = await cache.match(file);
  if (response) return response;
  const answer = await fetch(request);
  if (answer.ok && file.startsWith(new URL(WHEN_USED, scope()).href))
    await cache.put(file, answer.clone());
  return answer;
}

/**
 * Reads or writes a note.
 * @param {string} name
 * @param {string} [text]
 */
async function note(name, text) {
  if (!name) return null;
  const notes = await caches.open(NOTES);
  const address = new URL(`?note=${name}`, scope()).href;
  if (text !== undefined)
    await notes.put(address, new Response(text, { headers: { [WRITTEN]: String(Date.now()) } }));
  return (await notes.match(address))?.text() ?? null;
}

/** One at a time. @type {Promise<void> | null} */
let renewing = null;

/** Makes the server's files the newest edition, if they are not. */
function renew() {
  renewing ??= renewOnce().finally(() => (renewing = null));
  return renewing;
}

async function renewOnce() {
  const newest = await note(NEWEST);
  const found = await fetchAll();
  if (!found) {
    // At the first visit an installation that fails is begun again at the next one; later there is an edition to go on with.
    if (newest === null) throw new Error("the page’s files could not be fetched");
    return;
  }
  if (found.edition !== newest && (await fetchAll())?.edition === found.edition) {
    const cache = await caches.open(found.edition);
    await Promise.all(found.answers.map(([file, answer]) => cache.put(file, answer)));
    await note(NEWEST, found.edition);
  }
  await tidy();
}

/** @returns {Promise<{edition: string, answers: [string, Response][]} | null>} null where not all could be fetched */
async function fetchAll() {
  try {
    const found = await Promise.all(files().map(fetchOne));
    const hashes = found.map(({ hash }) => hash).join("");
    const answers = found.map(
      ({ file, answer }) => /** @type {[string, Response]} */ ([file, answer]),
    );
    return {
      edition:
        EDITION +
        hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(hashes))).slice(0, 16),
      answers,
    };
  } catch {
    return null;
  }
}

/** @param {string} file @throws where there is no such file, or no network */
async function fetchOne(file) {
  // Asks the server whether what the browser has is still so.
  const answer = await fetch(file, { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  // Anew, because a page may not be answered with what came by a redirect, and the body is unpacked already.
  const headers = new Headers(answer.headers);
  for (const name of ["content-encoding", "content-length"]) headers.delete(name);
  return {
    file,
    hash: hex(await crypto.subtle.digest("SHA-256", bytes)),
    answer: new Response(bytes, { headers }),
  };
}

/** @param {ArrayBuffer} bytes */
const hex = (bytes) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Forgets the notes about who has gone, and the editions that nobody uses any more. */
async function tidy() {
  const notes = await caches.open(NOTES);
  const used = new Set([await note(NEWEST)]);
  for (const { url } of await notes.keys()) {
    const name = new URL(url).searchParams.get("note") ?? "";
    const written = Number((await notes.match(url))?.headers.get(WRITTEN));
    // Who is just being opened is not always among the clients yet.
    const here =
      Date.now() - written < SURELY_OPENED_MS || (await worker.clients.get(name)) !== undefined;
    if (name === NEWEST || here) used.add(await note(name));
    else await notes.delete(url);
  }
  for (const name of await caches.keys())
    if (name.startsWith(EDITION) && !used.has(name)) await caches.delete(name);
}
