// @ts-check
/** A short stress of the studio; stress.full.mjs is the long one. */
import { after, before, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { stress } from "./stress.mjs";

/** @type {import("./server.mjs").Server} */ let server;
/** @type {import("playwright-core").Browser} */ let browser;
before(async () => {
  [server, browser] = await Promise.all([startServer(), launchChromium({ webgpu: false })]);
});
after(async () => {
  await browser?.close();
  await server?.close();
});

test("no picture is lost over 20 in two tabs, with cancels, crashes and lost devices", () =>
  stress(browser, server.address, 20));
