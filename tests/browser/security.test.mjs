// @ts-check
/** Security: requests go to the page's own server only, and no stranger's text becomes HTML. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { Site } from "./hub.mjs";
import { iTXt, png } from "./png-inputs.mjs";
import { ROOMY, Studio } from "./studio.mjs";

const QUICK = { steps: "2", sampler: "euler" };
/** Runs where it is parsed as HTML, also in places where a script element would not run. */
const EVIL = '<img src=x onerror="globalThis.hacked=1">"\'><script>globalThis.hacked=1</script>';

/** Elements that only a parsed payload can have made, in all shadow roots. */
function injected() {
  /** @type {string[]} */
  const found = [];
  const visit = (/** @type {ParentNode} */ root) => {
    for (const element of root.querySelectorAll("*")) {
      const bare = element.localName === "script" && !element.hasAttribute("src");
      if (bare || element.hasAttribute("onerror")) found.push(element.outerHTML);
      if (element.shadowRoot) visit(element.shadowRoot);
    }
  };
  visit(document);
  if ("hacked" in globalThis) found.push("a payload has run");
  return found;
}

describe("security", () => {
  /** @type {Site} */ let site;
  /** @type {import("playwright-core").Browser} */ let browser;
  /** @type {string} */ let folder;
  before(async () => {
    [site, browser] = await Promise.all([Site.start(), launchChromium({ webgpu: false })]);
    folder = await mkdtemp(join(tmpdir(), "darkroom-security-"));
  });
  after(async () => {
    await browser?.close();
    await site?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("the first and the second visit request nothing from another origin", async () => {
    const context = await browser.newContext({ viewport: ROOMY });
    /** @type {string[]} */
    const foreign = [];
    const { origin } = new URL(site.address("darkroom.localhost"));
    // Requests of the page, its worker and its service worker.
    context.on("request", (request) => {
      const url = request.url();
      const own = url.startsWith(`${origin}/`) || /^(data|blob):/.test(url);
      if (!own) foreign.push(url);
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(`${origin}/`);
    await studio.engine();
    await studio.generate(QUICK);
    await studio.page.waitForFunction(async () => {
      const notes = await caches.open("darkroom-shell");
      return Boolean(await notes.match(new URL("?note=newest", location.href)));
    });
    await studio.page.reload();
    await studio.engine();
    await studio.generate(QUICK);
    assert.deepEqual(foreign, []);
    assert.deepEqual(studio.errors, []);
    await context.close();
  });

  test("the page's policy is the documented one, and nothing on the page violates it", async () => {
    const docs = await readFile(new URL("../../docs/hosting.md", import.meta.url), "utf8");
    const documented = /```text\n(default-src[^`]*)```/.exec(docs)?.[1];
    const context = await browser.newContext({ viewport: ROOMY });
    /** @type {string[]} */
    const violations = [];
    await context.exposeFunction("violated", (/** @type {string} */ what) => violations.push(what));
    await context.addInitScript(() =>
      addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
        /** @type {any} */ (globalThis).violated(`${effectiveDirective} ${blockedURI}`),
      ),
    );
    const studio = new Studio(await context.newPage());
    await studio.page.goto(site.address());
    await studio.engine();
    const policy = await studio.page
      .locator("meta[http-equiv=Content-Security-Policy]")
      .getAttribute("content");
    const words = (/** @type {string | null | undefined} */ text) => text?.trim().split(/\s+/);
    assert.deepEqual(words(policy), words(documented));
    await studio.generate(QUICK);
    const download = studio.page.waitForEvent("download");
    await studio.button("save").click();
    await download;
    await studio.button("models").click();
    await studio.page.locator("dialog[data-part=models] li").first().waitFor();
    await studio.page.locator("[data-part=models] [data-act=close]").click();
    assert.deepEqual(violations, []);

    // The policy is in force: an inline script and an inline handler do not run.
    await studio.page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "globalThis.hacked = 1";
      document.body.append(script);
      const image = document.createElement("img");
      image.setAttribute("onerror", "globalThis.hacked = 1");
      image.src = "data:image/png;base64,broken";
      document.body.append(image);
    });
    await studio.page.waitForTimeout(500);
    assert.equal(await studio.page.evaluate(() => "hacked" in globalThis), false);
    assert.equal(violations.length, 2, violations.join());
    await context.close();
  });

  /** Opens a page without its policy: what would be parsed would also run. @param {string} hash */
  async function unprotected(hash = "") {
    const context = await browser.newContext({
      viewport: ROOMY,
      bypassCSP: true,
      serviceWorkers: "block",
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(site.address() + hash);
    return studio;
  }

  /** @param {Studio} studio @param {string} where */
  async function clean(studio, where) {
    await studio.page.waitForTimeout(200);
    assert.deepEqual(await studio.page.evaluate(injected), [], where);
  }

  test("markup in a link, a prompt or a setting stays text", async () => {
    const names = ["prompt", "negative-prompt", "seed", "steps", "guidance-scale", "sampler"];
    names.push("width", "height", "device", "model", "prediction", "nonsense");
    const all = new URLSearchParams(names.map((name) => [name, EVIL]));
    const studio = await unprotected(`#${all}`);
    // The model that it names does not exist.
    await studio.engine("failed");
    await studio.problem();
    await clean(studio, "a link");
    for (const name of names.slice(0, 11).filter((name) => name !== "model")) {
      const page = await unprotected(`#${new URLSearchParams({ [name]: EVIL })}`);
      await page.page.waitForSelector("darkroom-studio[data-engine=loading]");
      await clean(page, name);
      await page.close();
    }
    await studio.page.goto(site.address());
    await studio.page.reload();
    await studio.engine();
    await studio.generate({ ...QUICK, prompt: EVIL, negative_prompt: EVIL, seed: "7" });
    assert.equal((await studio.picture()).width, 128);
    await studio.generate({ negative_prompt: `${EVIL}2`, width: EVIL });
    await clean(studio, "a prompt");
    await studio.close();
  });

  test("markup in a file's name or in a PNG stays text", async () => {
    const studio = await unprotected();
    await studio.engine();
    const name = '<img src=x onerror="globalThis.hacked=1">.safetensors';
    const input = studio.page.locator("[data-part=file]");
    for (const [mimeType, buffer] of /** @type {[string, Buffer][]} */ ([
      ["application/octet-stream", Buffer.from("no model")],
      ["image/png", Buffer.from(png())],
    ])) {
      await input.setInputFiles({ name, mimeType, buffer });
      await studio.page.locator("[data-part=problem]", { hasText: "onerror" }).waitFor();
      await clean(studio, `a file of the type ${mimeType}`);
    }
    const text =
      `${EVIL}\nNegative prompt: ${EVIL}\nSteps: 2, Sampler: ${EVIL}, CFG scale: 7, Seed: 5, ` +
      `Size: 64x64, Model: ${EVIL.replaceAll(",", "")}, Version: x`;
    const file = join(folder, "evil.png");
    await writeFile(file, png(iTXt(text)));
    await input.setInputFiles(file);
    await studio.page.waitForFunction(
      () => /** @type {any} */ (document.querySelector("darkroom-studio"))?.settings?.seed === "5",
    );
    assert.match(await studio.text("warnings"), /onerror/);
    await clean(studio, "the text of a PNG");
    await studio.close();
  });

  test("markup in a model's files or in an error message stays text", async () => {
    const context = await browser.newContext({
      viewport: ROOMY,
      bypassCSP: true,
      serviceWorkers: "block",
    });
    await context.route("**/unet/config.json", async (route) => {
      const body = (await (await route.fetch()).text()).replace(
        "CrossAttnDownBlock2D",
        JSON.stringify(EVIL).slice(1, -1),
      );
      await route.fulfill({ body, contentType: "application/json" });
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(site.address());
    await studio.engine("failed");
    assert.match(await studio.problem(), /onerror/);
    await clean(studio, "an error message");
    await studio.page.evaluate(async (evil) => {
      // A model with such a name in the cache, for the dialog of downloaded models.
      const cache = await caches.open("darkroom-models-2");
      const key = new URL(`/${encodeURIComponent(evil)}/`, location.href).href;
      const bytes = new TextEncoder().encode(
        JSON.stringify({ index: evil, files: {}, complete: true, when: 1 }),
      );
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const hex = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const headers = { "x-darkroom-version": "%7B%7D", "x-darkroom-sha256": hex };
      await cache.put(`${key}?darkroom=manifest`, new Response(bytes, { headers }));
    }, EVIL);
    await studio.button("models").click();
    await studio.page.locator("dialog[data-part=models] li", { hasText: "onerror" }).waitFor();
    await clean(studio, "the name of a downloaded model");
    await studio.close();
  });
});
