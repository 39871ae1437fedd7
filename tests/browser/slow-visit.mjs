// @ts-check
/** A first visit to the published page over a slow line, on a host that does not compress. */
import assert from "node:assert/strict";
import { launchChromium } from "./chromium.mjs";
import { distFolder } from "./dist.mjs";
import { startServer } from "./server.mjs";
import { slowLine } from "./slow-line.mjs";
import { Studio } from "./studio.mjs";

/**
 * Times in seconds since the visit began, and the bytes that the line brought.
 * @typedef {object} Visit
 * @property {number} form is painted
 * @property {number} bytesMove the progress shows bytes
 * @property {number} picture the first one is finished, ordered at the start of the visit
 * @property {number} line the time that the bytes alone take
 * @property {number} megabytes
 */

/**
 * @param {number} megabitsPerSecond
 * @returns {Promise<Visit>}
 */
export async function slowVisit(megabitsPerSecond) {
  const bytesPerSecond = (megabitsPerSecond * 1e6) / 8;
  const server = await startServer({ root: distFolder() });
  const line = await slowLine(server.address, { bytesPerSecond, latencyMs: 40 });
  const browser = await launchChromium({ webgpu: false });
  try {
    // The service worker's cache would be filled over the same line, after the page is ready.
    const context = await browser.newContext({ serviceWorkers: "block" });
    const studio = new Studio(await context.newPage());
    const began = performance.now();
    const seconds = () => (performance.now() - began) / 1000;
    await studio.page.goto(`${line.address}#steps=8&sampler=euler`, { waitUntil: "commit" });
    await studio.fill({ prompt: "Portrait photo of a man" });
    // By the page's own clock: a busy machine takes seconds to drive the browser.
    const form = await studio.page.evaluate(() => {
      const [paint] = performance.getEntriesByName("first-contentful-paint");
      return paint.startTime / 1000;
    });
    const moved = await studio.page.waitForFunction(
      () => {
        const root = document.querySelector("darkroom-studio")?.shadowRoot;
        const bar = root?.querySelector("progress");
        return bar?.hasAttribute("value") && bar.value > 0 ? performance.now() / 1000 : null;
      },
      null,
      { polling: 50 },
    );
    const bytesMove = Number(await moved.jsonValue());
    await studio.button("generate").click();
    await studio.page
      .locator(".picture[data-state=finished]")
      .first()
      .waitFor({ timeout: 300_000 });
    const picture = seconds();
    assert.deepEqual(
      studio.errors.filter((error) => !/404/.test(error)),
      [],
    );
    const bytes = line.bytes();
    const visit = {
      form,
      bytesMove,
      picture,
      line: bytes / bytesPerSecond,
      megabytes: bytes / 1e6,
    };
    console.log(
      Object.entries(visit)
        .map(([name, value]) => `${name} ${value.toFixed(2)}`)
        .join(", "),
    );
    return visit;
  } finally {
    await browser.close();
    line.close();
    await server.close();
  }
}
