// @ts-check
/**
 * Draws the page's icons, its picture for links, and its screenshots for installation: `node
 * pictures.mjs`. They change with the icon, the pair and the page's look, and are kept in the
 * repository.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launchChromium } from "../chromium.mjs";
import { startServer } from "../server.mjs";
import { WWW } from "./bundle.mjs";

/** @typedef {import("playwright-core").Browser} Browser */

/**
 * Icons, each with the part of its side that the drawing takes. Launchers cut a maskable icon to
 * shapes of their own, of which the inner 80 % are always visible.
 */
const ICONS = [
  { name: "icon-192.png", size: 192, part: 1 },
  { name: "icon-512.png", size: 512, part: 1 },
  { name: "maskable-512.png", size: 512, part: 0.6 },
  { name: "apple-touch-icon.png", size: 180, part: 0.75 },
];
const SHARE = { width: 1200, height: 630 };
const SCREENSHOTS = [
  { name: "screenshot-wide.jpg", width: 1280, height: 800 },
  { name: "screenshot-narrow.jpg", width: 390, height: 844 },
];
const DARK = "#1d1311";
const LIGHT = "#fbf7ef";

/** @param {string} file @param {string} type */
const dataUrl = async (file, type) =>
  `data:${type};base64,${(await readFile(join(WWW, file))).toString("base64")}`;

/**
 * @param {Browser} browser
 * @param {string} html
 * @param {{width: number, height: number}} size
 */
async function drawn(browser, html, size) {
  const page = await browser.newPage({ viewport: size });
  await page.setContent(`<style>* { margin: 0; box-sizing: border-box }</style>${html}`);
  await page.evaluate(() => Promise.all([...document.images].map((image) => image.decode())));
  const bytes = await page.screenshot({ omitBackground: true });
  await page.close();
  return bytes;
}

/** @param {Browser} browser */
async function icons(browser) {
  const source = await dataUrl("icon.svg", "image/svg+xml");
  await mkdir(join(WWW, "icons"), { recursive: true });
  for (const { name, size, part } of ICONS) {
    const side = Math.round(size * part);
    // The icon's own halves continue to the edges.
    const ground = part < 1 ? `linear-gradient(90deg, ${DARK} 50%, ${LIGHT} 50%)` : "transparent";
    const html = `<div style="display: grid; place-items: center; height: 100vh;
      background: ${ground}"><img src="${source}" width="${side}" height="${side}"></div>`;
    await writeFile(
      join(WWW, "icons", name),
      await drawn(browser, html, { width: size, height: size }),
    );
  }
}

/** @param {Browser} browser */
async function share(browser) {
  const [without, with_] = await Promise.all(
    ["without", "with"].map((name) => dataUrl(`images/pair-${name}.webp`, "image/webp")),
  );
  const figure = (/** @type {string} */ source, /** @type {string} */ text) => `
    <figure style="text-align: center; font: 500 30px sans-serif; color: ${DARK}">
      <img src="${source}" width="420" height="420" style="display: block; margin-bottom: 22px;
        border-radius: 6px">${text}</figure>`;
  const html = `<div style="height: 100vh; background: ${LIGHT}; display: flex; gap: 60px;
      align-items: center; justify-content: center">
    ${figure(without, "no negative prompt")}${figure(with_, "negative prompt: mustache")}</div>`;
  await writeFile(join(WWW, "images/share.png"), await drawn(browser, html, SHARE));
}

/** @param {Browser} browser */
async function screenshots(browser) {
  const server = await startServer();
  for (const { name, ...size } of SCREENSHOTS) {
    const page = await browser.newPage({ viewport: size });
    await page.goto(server.address);
    await page.waitForSelector("darkroom-studio[data-engine=ready]", { timeout: 120_000 });
    const path = join(WWW, "images", name);
    await page.screenshot({ path, type: "jpeg", quality: 82 });
    await page.close();
  }
  await server.close();
}

const browser = await launchChromium({ webgpu: false });
await icons(browser);
await share(browser);
await screenshots(browser);
await browser.close();
