// @ts-check
/** The element beside other people's content: styles, policies, other origins, servers. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { CORS, HostSite, page, STRICT } from "./host-site.mjs";
import { pageModule } from "./modules.mjs";

/** @typedef {import("playwright-core").Page} Page */

const PATIENCE_MS = 120_000;
const SCRIPT = '<script type="module" src="darkroom/darkroom-studio.js"></script>';
const studio = (at = "darkroom/") => `<darkroom-studio model="${at}models/portraits"
  prompt="Portrait photo of a man" seed="14" steps="2" guidance-scale="3"></darkroom-studio>`;

/** Content of the host that the studio's ids and styles could reach. */
const OWN = `<section id="own">
  <h1>A page of its own</h1><h2 class="hint">About</h2>
  <p class="problem">Text with a <a href="#x">link</a> and
    <button class="primary">a button</button></p>
  <ul><li>one</li><li>two</li></ul>
  <figure class="picture">Figure <figcaption>caption</figcaption></figure>
  <form class="studio settings"><label for="prompt">Mine</label>
    <input id="prompt" value="mine"> <input id="seed" value="7">
    <select id="sampler"><option>a</select>
    <textarea id="negative-prompt">text</textarea> <progress value="0.4"></progress>
  </form>
  <p hidden class="hid">shown by the host's own rule</p>
</section>`;
const RESET = `* { margin: 0; padding: 0; box-sizing: content-box }
  body { font: 15px/1.4 monospace; background: #eef; color: #123 }
  button, input, select { border: 3px dotted teal; font: inherit }
  ul { list-style: square inside } h1 { font-size: 2em } .hid { display: block }
  #own { border: 1px solid; padding: 9px; width: 600px }`;

describe("embedding", () => {
  /** @type {HostSite} */ let site;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    site = await HostSite.start();
    browser = await launchChromium({ webgpu: false });
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });

  /**
   * Opens a page of the site with these headers.
   * @param {string} html
   * @param {Record<string, string>} [headers]
   */
  async function visit(html, headers = {}) {
    site.put("index.html", html, headers);
    const opened = await browser.newPage();
    opened.setDefaultTimeout(PATIENCE_MS);
    /** @type {string[]} */
    const errors = [];
    opened.on("pageerror", (error) => errors.push(String(error)));
    opened.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await opened.goto(site.address);
    return { page: opened, errors };
  }

  /** Waits for an engine and makes a picture. @param {Page} page @param {number} [nth] */
  async function made(page, nth = 0) {
    const element = page.locator("darkroom-studio").nth(nth);
    await page.locator("darkroom-studio[data-engine=ready]").nth(nth).waitFor();
    return element.evaluate(async (/** @type {any} */ studio) => {
      const { blob, bitmap } = await studio.generate();
      return [bitmap.width, blob.type];
    });
  }

  /** The text of the problem in view. @param {Page} page */
  async function problem(page) {
    await page.locator("darkroom-studio[data-engine=failed]").waitFor();
    return page.locator("[data-part=problem]").innerText();
  }

  test("a host page stays as it is by a pixel, and its two studios make pictures", async () => {
    site.put("host.css", RESET);
    const link = '<link rel="stylesheet" href="host.css">';
    const policy = { "content-security-policy": STRICT };
    const plain = await visit(page(OWN, link), policy);
    const before = await plain.page.locator("#own").screenshot();
    await plain.page.close();

    const host = await visit(page(OWN + studio() + studio(), link + SCRIPT), policy);
    for (const nth of [0, 1]) assert.deepEqual(await made(host.page, nth), [128, "image/png"]);
    const own = host.page.locator("#own");
    assert.ok(before.equals(await own.screenshot()), "the host's content looks different");
    const label = await host.page.evaluate(() => {
      const label = /** @type {HTMLLabelElement} */ (document.querySelector("#own label"));
      const input = /** @type {HTMLInputElement} */ (label.control);
      const ids = Array.from(document.querySelectorAll("[id]"), ({ id }) => id);
      return { value: input.value, ids, root: getComputedStyle(document.documentElement).cssText };
    });
    assert.equal(label.value, "mine", "a label of the host");
    assert.deepEqual(label.ids, ["own", "prompt", "seed", "sampler", "negative-prompt"]);
    await host.page.getByLabel("Mine").fill("still mine");
    await host.page.locator("darkroom-studio").nth(1).locator("label[for=prompt]").click();
    const focused = await host.page.evaluate(
      () => document.activeElement?.shadowRoot?.activeElement?.id,
    );
    assert.equal(focused, "prompt", "a label of the studio");
    assert.deepEqual(host.errors, []);
    await host.page.close();
  });

  test("a page that requires Trusted Types allows the policy darkroom", async () => {
    const trusted = "; require-trusted-types-for 'script'; trusted-types darkroom";
    const { page: opened, errors } = await visit(page(studio(), SCRIPT), {
      "content-security-policy": STRICT + trusted,
    });
    assert.deepEqual(await made(opened), [128, "image/png"]);
    // The form of the worker's start that bundlers recognize is tried first, and reported.
    const others = errors.filter((error) => !/'TrustedScriptURL' assignment/.test(error));
    assert.deepEqual(others, []);
    await opened.close();
  });

  test("script, worker and engine come from another origin, under a policy", async () => {
    const cdn = await HostSite.start();
    cdn.headers = () => CORS;
    const from = `${cdn.address}darkroom/`;
    const origin = new URL(from).origin;
    const { page: opened, errors } = await visit(
      page(studio(from), `<script type="module" src="${from}darkroom-studio.js"></script>`),
      {
        "content-security-policy":
          `default-src 'none'; script-src ${origin} 'wasm-unsafe-eval'; ` +
          `worker-src blob: ${origin}; img-src blob:; connect-src ${origin}`,
      },
    );
    assert.deepEqual(await made(opened), [128, "image/png"]);
    assert.deepEqual(errors, []);
    await opened.close();
    await cdn.close();
  });

  /** Why a worker does not start, and how the page says so. */
  const failures = /** @type {const} */ ([
    {
      name: "the file is missing",
      headers: (/** @type {string} */ path) => (path.endsWith("/worker.js") ? null : {}),
      said: /worker could not be read: \S+worker\.js: 404/,
    },
    {
      name: "its content type is wrong",
      headers: (/** @type {string} */ path) =>
        path.endsWith("/worker.js") ? { "content-type": "text/plain" } : {},
      said: /content type “text\/plain”/,
    },
    {
      name: "the page is isolated and the worker is not",
      page: {
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
      },
      said: /worker needs it too: \S+worker\.js/,
    },
    {
      name: "the policy does not allow it",
      page: { "content-security-policy": `${STRICT}; worker-src 'none'` },
      said: /Content Security Policy \(worker-src\) does not allow/,
    },
  ]);
  for (const failure of failures)
    test(`a worker that cannot start names the cause: ${failure.name}`, async () => {
      site.headers = "headers" in failure ? failure.headers : () => ({});
      const { page: opened } = await visit(
        page(studio(), SCRIPT),
        "page" in failure ? failure.page : {},
      );
      assert.match(await problem(opened), failure.said);
      site.headers = () => ({});
      await opened.close();
    });

  test("a script of another origin that may not be read names the cause", async () => {
    const cdn = await HostSite.start();
    // The element's own modules may be read, the worker may not.
    cdn.headers = (path) => (path.endsWith("/worker.js") ? {} : CORS);
    const from = `${cdn.address}darkroom/`;
    const { page: opened } = await visit(
      page(studio(from), `<script type="module" src="${from}darkroom-studio.js"></script>`),
    );
    assert.match(await problem(opened), /Access-Control-Allow-Origin/);
    await opened.close();
    await cdn.close();
  });

  test("a server imports the element and the api, and neither touches a document", async () => {
    const before = Object.keys(globalThis);
    const { DarkroomStudio } = await pageModule("darkroom-studio.js");
    const { createDarkroom, DarkroomError } = await pageModule("api.js");
    assert.equal(typeof DarkroomStudio, "function");
    assert.equal(typeof createDarkroom, "function");
    assert.equal(new DarkroomError("request", "x").kind, "request");
    assert.deepEqual(Object.keys(globalThis), before);
    assert.equal(/** @type {any} */ (globalThis).customElements, undefined);
  });
});
