// @ts-check
/** Faults of downloads that the tests' hub simulates, and their expected results. */

/** @typedef {import("./hub.mjs").Delivery} Delivery */
/** @typedef {import("./hub.mjs").Exchange} Exchange */

/**
 * @typedef {object} Fault
 * @property {string} name
 * @property {"hub" | "store"} [where] default: the store that the hub redirects to
 * @property {number} [times] default: until it is repaired
 * @property {boolean} [everywhere] at every byte, not only at the tested one
 * @property {(exchange: Exchange, at: number, nth: number) => Promise<void> | void} act `at`: the
 *   byte to hit; `nth`: how often it was hit before
 * @property {RegExp} [says] the visitor's message where the model does not load; absent: it loads
 * @property {RegExp | null} [saysAtStart] another message where the fault hits the first bytes;
 *   null: the model loads then
 * @property {string} [again] the reason why bytes have to be fetched twice
 */

export const POSITIONS = /** @type {const} */ (["start", "middle", "end"]);
/** @typedef {typeof POSITIONS[number]} Position */

/** @param {number} status @param {Record<string, string>} [headers] */
const status =
  (status, headers = {}) =>
  (/** @type {Exchange} */ exchange) =>
    exchange.deliver({ status, headers: { "content-length": "0", ...headers } });
/** @param {Delivery} delivery */
const as = (delivery) => (/** @type {Exchange} */ exchange) => exchange.deliver(delivery);
/** @param {(exchange: Exchange) => Delivery} delivery */
const by = (delivery) => (/** @type {Exchange} */ exchange) => exchange.deliver(delivery(exchange));
/** @param {Exchange} exchange */
const hangUp = ({ request }) => void request.socket.destroy();
/** Slow enough that a request given up after its first bytes was not complete yet. */
const SLOWLY = { chunk: 500, everyMs: 10 };
/**
 * For answers that are refused because of their headers. Until then only a small part of these
 * small files may arrive, as it would be with large files.
 */
const CRAWLING = { chunk: 50, everyMs: 20 };
// The last bytes come whole. Halves of halves would never end.
const half = by(({ start, end }) =>
  end - start < 3000 ? {} : { ...SLOWLY, cutAfter: Math.ceil((end - start) / 2) },
);
/** @param {Exchange} exchange */
const elsewhere = ({ start, end, size }) => ({
  ...CRAWLING,
  headers: { "content-range": `bytes ${(start + 1) % size}-${end - 1}/${size}` },
});
/** @param {Exchange} exchange */
const longer = ({ start, end, size }) => ({
  ...CRAWLING,
  headers: { "content-range": `bytes ${start}-${end - 1}/${size + 1}` },
});
const page = {
  status: 200,
  empty: true,
  headers: { "content-type": "text/html", "content-length": "0", "content-range": "" },
};
const MORE = "1000";
/** Flips a bit of every byte. @param {Buffer} bytes */
const corrupt = (bytes) => Buffer.from(bytes.map((byte) => byte ^ 1));
const UNASKED = "unwanted bytes arrive before their headers are checked";
const REPLACED = "bytes in flight are useless when the file is replaced";
const NO_RANGES = "without ranges a file always comes from its first byte";

/** Replaces the file by another one. @param {number} shorter by so many bytes */
const replace =
  (shorter) =>
  (/** @type {Exchange} */ { repository, path, size, deliver }) => {
    repository.put(path, Buffer.alloc(size - shorter, `another ${repository.requests}`));
    return deliver(SLOWLY);
  };

/** @type {Fault[]} */
export const FAULTS = [
  { name: "500, once", times: 1, act: status(500) },
  {
    name: "503 with Retry-After 1 s",
    times: 1,
    act: status(503, { "retry-after": "1", "access-control-expose-headers": "Retry-After" }),
  },
  { name: "429, once", where: "hub", times: 1, act: status(429) },
  {
    name: "429 with Retry-After 1 s",
    where: "hub",
    times: 1,
    act: status(429, { "retry-after": "1", "access-control-expose-headers": "Retry-After" }),
  },
  { name: "403, the signed link has expired", times: 1, act: status(403), saysAtStart: /403/ },
  { name: "connection cut before the answer, once", times: 1, act: hangUp },
  { name: "connection cut in the middle, once", times: 1, act: half },
  {
    name: "connection cut before the last byte, once",
    times: 1,
    act: by(({ start, end }) => ({ cutAfter: end - start - 1 })),
  },
  { name: "connection cut in the middle, every time", act: half },
  { name: "no answer, once", times: 1, act: () => {} },
  {
    name: "stalls in the middle, once",
    times: 1,
    act: by(({ start, end }) => ({ stallAfter: Math.floor((end - start) / 2) })),
  },
  { name: "slow", act: as({ chunk: 2048, everyMs: 20 }) },
  {
    name: "fewer bytes than Content-Length, once",
    times: 1,
    act: by(({ start, end }) => ({
      headers: { "content-length": MORE + (end - start) },
      cutAfter: end - start - 100,
    })),
  },
  {
    name: "a shorter range than requested, once",
    times: 1,
    act: by(({ start, end }) => ({
      headers: { "content-length": String(end - start - 100) },
      cutAfter: end - start - 100,
    })),
  },
  { name: "another range than requested, once", times: 1, act: by(elsewhere) },
  { name: "a web page instead, once", times: 1, act: as(page), saysAtStart: /no such file/ },
  {
    name: "redirect to an unknown host, once",
    where: "hub",
    times: 1,
    act: status(302, { location: "http://nowhere.localhost:9/" }),
  },
  {
    name: "no CORS headers, once",
    times: 1,
    act: as({ ...SLOWLY, headers: { "access-control-allow-origin": "" } }),
  },
  { name: "no ranges", everywhere: true, act: as({ whole: true }), again: NO_RANGES },
  // The first request only wants the head, and is given up after it.
  {
    name: "no ranges, and cuts the connection",
    everywhere: true,
    act: ({ deliver }, at, nth) => deliver({ whole: true, ...(nth < 2 && { cutAfter: at + 1 }) }),
    again: NO_RANGES,
  },
  {
    name: "corrupted in transit, once",
    times: 1,
    act: as({ change: corrupt }),
    again: "the hash of the whole file does not say which bytes are wrong",
  },
  { name: "replaced by another file", times: 1, act: replace(0), again: REPLACED },
  { name: "replaced by a shorter file", times: 1, act: replace(5000), again: REPLACED },

  { name: "500, always", act: status(500), says: /the server answered 500/ },
  {
    name: "429 with Retry-After 1 h",
    where: "hub",
    act: status(429, { "retry-after": "3600", "access-control-expose-headers": "Retry-After" }),
    says: /429.*60 minutes/,
  },
  { name: "401, always", where: "hub", act: status(401), says: /401/ },
  { name: "403, always", act: status(403), says: /403/ },
  {
    name: "404, always",
    where: "hub",
    act: status(404),
    says: /is gone/,
    saysAtStart: /no such file/,
  },
  { name: "connection cut before the answer, always", act: hangUp, says: /could not be reached/ },
  {
    name: "connection cut after the headers, always",
    act: as({ cutAfter: 0 }),
    says: /the connection (broke|ended)|could not be reached/,
  },
  { name: "no answer, always", act: () => {}, says: /sent nothing for/ },
  {
    name: "stalls after the headers, always",
    act: as({ stallAfter: 0 }),
    says: /sent nothing for/,
  },
  {
    name: "another range than requested, always",
    act: by(elsewhere),
    says: /sent bytes from \d+ instead of from \d+/,
    again: UNASKED,
  },
  {
    name: "a larger file than before",
    act: by(longer),
    says: /has \d+ bytes, expected \d+/,
    again: "a file of another size is another file",
  },
  {
    name: "a web page instead, always",
    act: as(page),
    says: /a web page/,
    saysAtStart: /no such file/,
  },
  {
    name: "endless redirects",
    where: "hub",
    act: ({ request, response }) =>
      void response
        .writeHead(302, { location: request.url, "access-control-allow-origin": "*" })
        .end(),
    says: /could not be reached|sent nothing for/,
  },
  {
    name: "no CORS headers, always",
    act: as({ ...SLOWLY, headers: { "access-control-allow-origin": "" } }),
    says: /could not be reached/,
    again: "the browser reads a hidden body to its end, where that is near",
  },
  {
    name: "replaced at every request",
    act: replace(0),
    says: /replaced/,
    saysAtStart: null,
    again: REPLACED,
  },
  {
    name: "corrupted in transit, always",
    act: as({ change: corrupt }),
    says: /SHA-256/,
    again: "the hash of the whole file does not say which bytes are wrong",
  },
];
