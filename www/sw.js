// @ts-check
/**
 * Service worker: caches the page, so that a later visit needs no network. Models have a cache of
 * their own, in weights/cache.js.
 *
 * The cache holds editions. An edition is all files of SHELL from one deployment, named by a hash
 * of their contents, so that no build step has to number versions. A page and its workers get all
 * their files from one edition, the newest when the page was opened. Files of two deployments never
 * mix, whenever the server is updated and whatever its caching headers are.
 *
 * After each opening the files on the server are compared with the newest edition in the
 * background; the browser's HTTP cache turns that into answers of "304 Not Modified". If they
 * differ, and a second comparison finds the same files, they become the next edition. The second
 * one guards against an upload in progress. The next opening uses the new edition.
 *
 * On localhost the server comes first, and the edition is used only without a server: a developer
 * never sees old code.
 */

/**
 * Files that the page loads by itself, relative to it. A test compares the list with the requests.
 */
const SHELL = [
  "./",
  "base/problem.js",
  "base/trusted.js",
  "darkroom-studio.js",
  "engine/additions.js",
  "engine/client.js",
  "engine/device.js",
  "engine/download.js",
  "engine/engine-files.js",
  "engine/failures.js",
  "engine/start-worker.js",
  "engine/tuning-cache.js",
  "engine/worker.js",
  "icon.svg",
  "images/pair-with.webp",
  "images/pair-without.webp",
  "main.js",
  "model-card.html",
  "page.css",
  "page/early.js",
  "page/language.js",
  "page/pair.css",
  "page/pair.js",
  "page/showcase.js",
  "page/story.css",
  "page/story.js",
  "pkg/darkroom.js",
  "pkg/darkroom_bg.wasm",
  "store/channel.js",
  "store/database.js",
  "store/drafts.js",
  "store/pictures.js",
  "store/prompt-sets.js",
  "store/prompts.js",
  "store/queue.js",
  "story.html",
  "story/map-negative.webp",
  "story/map-plain.webp",
  "story/negative.webp",
  "story/nothing.webp",
  "story/plain.webp",
  "story/scale.webp",
  "story/steps.webp",
  "story/without.webp",
  "strings/de/additions.js",
  "strings/de/gallery.js",
  "strings/de/guidance.js",
  "strings/de/library.js",
  "strings/de/index.js",
  "strings/de/infotext.js",
  "strings/de/models.js",
  "strings/de/noise.js",
  "strings/de/page.js",
  "strings/de/problems.js",
  "strings/de/stage.js",
  "strings/de/studio.js",
  "strings/en/additions.js",
  "strings/en/gallery.js",
  "strings/en/guidance.js",
  "strings/en/library.js",
  "strings/en/index.js",
  "strings/en/infotext.js",
  "strings/en/models.js",
  "strings/en/noise.js",
  "strings/en/page.js",
  "strings/en/problems.js",
  "strings/en/stage.js",
  "strings/en/studio.js",
  "strings/index.js",
  "strings/number.js",
  "strings/plural.js",
  "studio/additions.js",
  "studio/address.js",
  "studio/candidate.js",
  "studio/consent.js",
  "studio/controls.css",
  "studio/crc32.js",
  "studio/difference.js",
  "studio/drafts.js",
  "studio/dropped-files.js",
  "studio/edit-attention.js",
  "studio/element.js",
  "studio/events.js",
  "studio/exif.js",
  "studio/file-input.js",
  "studio/fold.js",
  "studio/forever.js",
  "studio/form-events.js",
  "studio/form-tools.js",
  "studio/form.js",
  "studio/gallery-actions.js",
  "studio/gallery.css",
  "studio/gallery.js",
  "studio/group.js",
  "studio/groups.js",
  "studio/guidance-chart.js",
  "studio/guidance-kinds.js",
  "studio/guidance-panel.js",
  "studio/guidance-plan.js",
  "studio/guidance.css",
  "studio/infotext.js",
  "studio/infotext-values.js",
  "studio/live-notes.js",
  "studio/loras.js",
  "studio/model-names.js",
  "studio/model-switch.js",
  "studio/models.css",
  "studio/nag-offer.js",
  "studio/nag-panel.js",
  "studio/negative-hint.js",
  "studio/negative-panel.js",
  "studio/noise-template.js",
  "studio/notify.js",
  "studio/panel-fields.js",
  "studio/picture-actions.js",
  "studio/picture-file.js",
  "studio/picture-view.js",
  "studio/picture.css",
  "studio/pictures.js",
  "studio/png-text.js",
  "studio/png.js",
  "studio/problems.js",
  "studio/progress.js",
  "studio/prompt-csv.js",
  "studio/prompt-history.js",
  "studio/prompt-language.js",
  "studio/prompt-library-template.js",
  "studio/prompt-library.js",
  "studio/prompt-marks.js",
  "studio/prompt-note.js",
  "studio/prompt-segments.js",
  "studio/prompt-template.js",
  "studio/prompts.css",
  "studio/queue-view.js",
  "studio/queue.js",
  "studio/remedies.js",
  "studio/run.js",
  "studio/sampler-names.js",
  "studio/sampler-template.js",
  "studio/session-view.js",
  "studio/session.js",
  "studio/setting-element.js",
  "studio/settings.css",
  "studio/settings.js",
  "studio/advanced-settings.js",
  "studio/shadow-root.js",
  "studio/shelf-door.js",
  "studio/shortcuts.js",
  "studio/showcase.js",
  "studio/stage.js",
  "studio/status-text.js",
  "studio/status-view.js",
  "studio/studio.css",
  "studio/styles.js",
  "studio/template.js",
  "studio/theme.css",
  "studio/timings.js",
  "studio/undo.js",
  "studio/variations.js",
  "studio/wall.js",
  "studio/watchdog.js",
  "studio/work-template.js",
  "studio/workplace.js",
  "studio/zip.js",
  "weights/cache.js",
  "weights/checksum.js",
  "weights/chunk-reader.js",
  "weights/chunks.js",
  "weights/examine.js",
  "weights/fetch.js",
  "weights/layout.js",
  "weights/limiter.js",
  "weights/local.js",
  "weights/remote-file.js",
  "weights/sharing.js",
  "weights/source.js",
  "weights/vocabulary.js",
];
/**
 * Compressed copies, by the name of the plain file: for hosts that do not compress. There are none
 * in development. `cargo xtask dist` fills in this list and the one above.
 * @type {Record<string, string>}
 */
const COPIES = {};
/** Cached after their first use: the vocabulary has 1.4 MB, and most visitors need neither. */
const WHEN_USED = [
  "vocab/",
  "catalogue.json",
  "studio/shelf",
  "studio/expert-panel.js",
  "studio/noise-panel.js",
];
const EDITION = "darkroom-shell-";
/**
 * Cache of notes: the edition of each open page and worker, and the newest edition. Notes are small
 * texts under addresses that no server sees.
 */
const NOTES = "darkroom-shell";
const NEWEST = "newest";
const WRITTEN = "x-darkroom-written";
const SURELY_OPENED_MS = 600_000;
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const scope = () => worker.registration.scope;
const cachedNames = new Set([...SHELL, ...Object.values(COPIES)]);

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

/** @param {string} name of a file */
const isForLater = (name) => WHEN_USED.some((start) => name.startsWith(start));

/** Cache key of a request; null where it is not for a file of the page. @param {Request} request */
function fileOf({ method, url }) {
  const { origin, pathname } = new URL(url);
  const { origin: ours, pathname: folder } = new URL(scope());
  if (method !== "GET" || origin !== ours || !pathname.startsWith(folder)) return null;
  const name = pathname.slice(folder.length).replace(/^(index\.html)?$/, "./");
  const isCached = cachedNames.has(name) || isForLater(name);
  return isCached ? new URL(name, scope()).href : null;
}

/**
 * @param {FetchEvent} event
 * @param {string} file
 */
async function serve(event, file) {
  const { request } = event;
  if (LOCAL.includes(new URL(file).hostname)) {
    const answer = await fetch(request).catch(() => null);
    return answer ?? cached(event, file);
  }
  return cached(event, file);
}

/**
 * Answers with a file from the edition of the page that asks.
 * @param {FetchEvent} event
 * @param {string} file
 */
async function cached(event, file) {
  const { clientId, resultingClientId, request } = event;
  const edition =
    (request.mode === "navigate" ? null : await note(clientId)) ?? (await note(NEWEST));
  // The page of the first visit was loaded before there was an edition.
  if (!edition) return fetch(request);
  if (resultingClientId) await note(resultingClientId, edition);
  const cache = await caches.open(edition);
  const response = await cache.match(file);
  if (response) return response;
  const answer = await fetch(request);
  if (answer.ok && isForLater(file.slice(scope().length))) await cache.put(file, answer.clone());
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

/** The update in progress: one at a time. @type {Promise<void> | null} */
let renewing = null;

/** Makes the files on the server the newest edition, if they differ from it. */
function renew() {
  renewing ??= renewOnce().finally(() => (renewing = null));
  return renewing;
}

async function renewOnce() {
  const newest = await note(NEWEST);
  const found = await fetchAll();
  if (!found) {
    // A first installation that fails is repeated on the next visit. Later there is an edition to
    // use.
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

/**
 * @returns {Promise<{edition: string, answers: [string, Response][]} | null>} null: not all files
 *   could be fetched
 */
async function fetchAll() {
  try {
    const files = await Promise.all(SHELL.map(smaller));
    const found = await Promise.all(files.map(fetchOne));
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

/**
 * The address of a file, or of its compressed copy where that is the smaller download. The page
 * chooses in the same way, so that the browser's HTTP cache has the answer.
 * @param {string} file
 */
async function smaller(file) {
  const copy = COPIES[file];
  const address = (/** @type {string} */ name) => new URL(name, scope()).href;
  if (!copy) return address(file);
  const [plain, compressed] = await Promise.all(
    [file, copy].map((name) => fetch(address(name), { method: "HEAD" })),
  );
  const usesCopy = compressed.ok && !plain.headers.has("content-encoding");
  return address(usesCopy ? copy : file);
}

/**
 * @param {string} file
 * @throws where the file does not exist or there is no network
 */
async function fetchOne(file) {
  // "no-cache": the server confirms that the browser's copy is current.
  const answer = await fetch(file, { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  // A new response: a navigation may not be answered with a redirected one, and the body is already
  // decompressed.
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

/** Deletes the notes of closed pages, and the editions that no page uses. */
async function tidy() {
  const notes = await caches.open(NOTES);
  const used = new Set([await note(NEWEST)]);
  for (const { url } of await notes.keys()) {
    const name = new URL(url).searchParams.get("note") ?? "";
    const written = Number((await notes.match(url))?.headers.get(WRITTEN));
    // A page that is being opened is not always in the list of clients yet.
    const here =
      Date.now() - written < SURELY_OPENED_MS || (await worker.clients.get(name)) !== undefined;
    if (name === NEWEST || here) used.add(await note(name));
    else await notes.delete(url);
  }
  for (const name of await caches.keys())
    if (name.startsWith(EDITION) && !used.has(name)) await caches.delete(name);
}
