// @ts-check
/** What goes wrong with a download: every fault that the tests' hub knows, and what is to come of it. */

/** @typedef {import("./hub.mjs").Delivery} Delivery */
/** @typedef {import("./hub.mjs").Exchange} Exchange */

/**
 * @typedef {object} Fault
 * @property {string} name
 * @property {"hub" | "store"} [where] default: the store that the hub sends on to
 * @property {number} [times] so often; default: until it is mended
 * @property {boolean} [everywhere] not only where it is to hit
 * @property {(exchange: Exchange, at: number, nth: number) => Promise<void> | void} act `at`: the byte it is to hit; `nth`: how often it has already
 * @property {RegExp} [says] what the visitor reads where it does not load in spite of it; absent: it loads
 * @property {RegExp | null} [saysAtStart] where that is something else when it hits the first bytes; null: it loads then
 * @property {string} [again] why bytes have to be fetched again
 */

export const PLACES = /** @type {const} */ (["start", "middle", "end"]);
/** @typedef {typeof PLACES[number]} Place */

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
/** So slow that what is given up after its first bytes has not come as a whole. */
const SLOWLY = { chunk: 500, everyMs: 10 };
/** For answers that are refused by their headers: what of the body is on its way by then shall be as little, beside these small files, as it is beside large ones. */
const CRAWLING = { chunk: 50, everyMs: 20 };
// At last it gets through, or it would go on like Achilles and the tortoise.
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
const spoil = (bytes) => Buffer.from(bytes.map((byte) => byte ^ 1));
const UNASKED = "what a server sends that nobody asked for has begun to come before that shows";
const REPLACED = "what is under way when a file is replaced is of no use";
const NO_RANGES = "without ranges a file comes from its first byte on, whatever of it is here";

/**
 * The file is another one from now on.
 * @param {number} shorter by so many bytes
 */
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
    name: "503 and “come back in 1 s”",
    times: 1,
    act: status(503, { "retry-after": "1", "access-control-expose-headers": "Retry-After" }),
  },
  { name: "429, once", where: "hub", times: 1, act: status(429) },
  {
    name: "429 and “come back in 1 s”",
    where: "hub",
    times: 1,
    act: status(429, { "retry-after": "1", "access-control-expose-headers": "Retry-After" }),
  },
  { name: "403, the link has run out", times: 1, act: status(403), saysAtStart: /403/ },
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
    name: "fewer bytes than it says, once",
    times: 1,
    act: by(({ start, end }) => ({
      headers: { "content-length": MORE + (end - start) },
      cutAfter: end - start - 100,
    })),
  },
  {
    name: "a shorter part than asked for, once",
    times: 1,
    act: by(({ start, end }) => ({
      headers: { "content-length": String(end - start - 100) },
      cutAfter: end - start - 100,
    })),
  },
  { name: "another part than asked for, once", times: 1, act: by(elsewhere) },
  { name: "a web page in its place, once", times: 1, act: as(page), saysAtStart: /no such file/ },
  {
    name: "redirect to a host that is not there, once",
    where: "hub",
    times: 1,
    act: status(302, { location: "http://nowhere.localhost:9/" }),
  },
  {
    name: "does not let other sites read, once",
    times: 1,
    act: as({ ...SLOWLY, headers: { "access-control-allow-origin": "" } }),
  },
  { name: "knows no ranges", everywhere: true, act: as({ whole: true }), again: NO_RANGES },
  // The first request only wants the head, and is given up after it.
  {
    name: "knows no ranges, and cuts",
    everywhere: true,
    act: ({ deliver }, at, nth) => deliver({ whole: true, ...(nth < 2 && { cutAfter: at + 1 }) }),
    again: NO_RANGES,
  },
  {
    name: "spoilt on its way, once",
    times: 1,
    act: as({ change: spoil }),
    again: "which bytes are wrong the hash of the whole does not tell",
  },
  { name: "replaced by another file", times: 1, act: replace(0), again: REPLACED },
  { name: "replaced by a shorter file", times: 1, act: replace(5000), again: REPLACED },

  { name: "500, always", act: status(500), says: /the server answered 500/ },
  {
    name: "429 and “come back in an hour”",
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
    name: "another part than asked for, always",
    act: by(elsewhere),
    says: /sent bytes from \d+ on instead of \d+/,
    again: UNASKED,
  },
  {
    name: "more bytes in all than before",
    act: by(longer),
    says: /has \d+ bytes, expected \d+/,
    again: "a file of another size is another file",
  },
  {
    name: "a web page in its place, always",
    act: as(page),
    says: /a web page/,
    saysAtStart: /no such file/,
  },
  {
    name: "redirects without end",
    where: "hub",
    act: ({ request, response }) =>
      void response
        .writeHead(302, { location: request.url, "access-control-allow-origin": "*" })
        .end(),
    says: /could not be reached|sent nothing for/,
  },
  {
    name: "does not let other sites read, always",
    act: as({ ...SLOWLY, headers: { "access-control-allow-origin": "" } }),
    says: /could not be reached/,
    again: "what it may not hand on the browser reads to its end, where that is near",
  },
  {
    name: "replaced at every request",
    act: replace(0),
    says: /replaced/,
    saysAtStart: null,
    again: REPLACED,
  },
  {
    name: "spoilt always",
    act: as({ change: spoil }),
    says: /SHA-256/,
    again: "which bytes are wrong the hash of the whole does not tell",
  },
];
