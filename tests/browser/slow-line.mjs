// @ts-check
/** A slow line between the browser and a server, shared by all connections. */
import { connect, createServer } from "node:net";

/** @typedef {import("node:net").Socket} Socket */

const TICK_MS = 5;
/** Bytes of one connection before it is the turn of the next. */
const PACKET = 1460;
/** Bytes of one connection that wait for the line; more stay with the server. */
const WINDOW = 32 * 1024;

/** A connection with the bytes that wait for the line. */
class Lane {
  /** @type {Buffer[]} */ #waiting = [];
  bytes = 0;

  /** @param {Socket} browser @param {Socket} server */
  constructor(browser, server) {
    this.browser = browser;
    this.server = server;
  }

  /** @param {Buffer} chunk */
  push(chunk) {
    this.#waiting.push(chunk);
    this.bytes += chunk.length;
    if (this.bytes > WINDOW) this.server.pause();
  }

  /** Sends up to so many bytes; returns their number. @param {number} count */
  send(count) {
    const chunk = this.#waiting.shift();
    if (!chunk) return 0;
    const part = chunk.subarray(0, count);
    if (part.length < chunk.length) this.#waiting.unshift(chunk.subarray(count));
    this.bytes -= part.length;
    this.browser.write(part);
    if (this.bytes <= WINDOW) this.server.resume();
    return part.length;
  }
}

/**
 * Opens a line to a server on this machine.
 * @param {string} address of the server
 * @param {{bytesPerSecond: number, latencyMs: number}} line
 * @returns {Promise<{address: string, bytes: () => number, close(): void}>} `bytes`: so many have
 *   come over the line
 */
export async function slowLine(address, { bytesPerSecond, latencyMs }) {
  const { port, pathname } = new URL(address);
  /** @type {Set<Lane>} */
  const lanes = new Set();
  let sent = 0;
  const proxy = createServer((browser) => {
    const server = connect(Number(port), "127.0.0.1");
    const lane = new Lane(browser, server);
    lanes.add(lane);
    // Requests are small: they have the latency, and no limit.
    browser.on("data", (chunk) => setTimeout(() => server.write(chunk), latencyMs));
    server.on("data", (chunk) => lane.push(chunk));
    server.on("end", () => setTimeout(() => browser.end(), latencyMs));
    const end = () => {
      lanes.delete(lane);
      browser.destroy();
      server.destroy();
    };
    for (const socket of [browser, server]) socket.on("error", end);
    browser.on("close", end);
  });
  let last = performance.now();
  let credit = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    credit += ((now - last) / 1000) * bytesPerSecond;
    last = now;
    for (let busy = true; busy && credit >= 1; ) {
      busy = false;
      for (const lane of lanes) {
        if (credit < 1) break;
        const count = lane.send(Math.min(PACKET, Math.floor(credit)));
        credit -= count;
        sent += count;
        busy ||= count > 0;
      }
    }
    // An idle line saves nothing up.
    credit = Math.min(credit, PACKET);
  }, TICK_MS);
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(null)));
  const own = /** @type {import("node:net").AddressInfo} */ (proxy.address());
  return {
    address: `http://localhost:${own.port}${pathname}`,
    bytes: () => sent,
    close: () => {
      clearInterval(timer);
      proxy.close();
      for (const lane of lanes) lane.browser.destroy();
    },
  };
}
