// @ts-check
/** The gallery: kept pictures, stars, deletion, downloads, keys, a full disk, two tabs. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { launchChromium } from "./chromium.mjs";
import { pageModule } from "./modules.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

const QUICK = { steps: "1", sampler: "euler" };

describe("the gallery", async () => {
  const { textOf } = await pageModule("studio/png-text.js");
  /** @type {import("./server.mjs").Server} */ let server;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    server = await startServer();
    browser = await launchChromium({ webgpu: false });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** @param {import("playwright-core").BrowserContextOptions} [options] */
  const visit = (options) => Studio.visit(browser, server.address, options);

  /** @param {Studio} studio */
  const tiles = (studio) => studio.page.locator(".gallery li button");

  /** Waits for this number of pictures. @param {Studio} studio @param {number} count */
  async function count(studio, count) {
    await studio.page.waitForFunction((count) => {
      const root = document.querySelector("darkroom-studio")?.shadowRoot;
      return root?.querySelectorAll(".gallery li").length === count;
    }, count);
  }

  /** Makes a picture for each seed. @param {Studio} studio @param {string[]} seeds */
  async function make(studio, ...seeds) {
    for (const seed of seeds) await studio.generate({ ...QUICK, seed });
  }

  /** @param {Studio} studio @param {() => Promise<unknown>} act */
  async function downloaded(studio, act) {
    const waiting = studio.page.waitForEvent("download");
    await act();
    const download = await waiting;
    return { name: download.suggestedFilename(), path: await download.path() };
  }

  test("pictures, stars and settings survive a reload, and Back", async () => {
    const studio = await visit();
    await studio.engine();
    await make(studio, "11", "12");
    const newest = await studio.picture();
    await tiles(studio).nth(1).focus();
    await studio.page.keyboard.press("s");
    assert.equal(await tiles(studio).nth(1).getAttribute("data-starred"), "");
    await studio.page.reload();
    await studio.engine();
    await count(studio, 2);
    assert.deepEqual(await studio.picture(), newest, "the last picture is on the stand again");
    assert.equal(await tiles(studio).nth(0).getAttribute("data-starred"), null);
    assert.equal(await tiles(studio).nth(1).getAttribute("data-starred"), "");
    await studio.fill({ prompt: "something else", steps: "7" });
    await tiles(studio).nth(1).click();
    await studio.field("seed", "11");
    await studio.field("steps", "1");
    await studio.field("prompt", "Portrait photo of a man");
    assert.match(await studio.page.locator(".picture .label").innerText(), /Seed 11/);

    assert.deepEqual(studio.errors, []);
    await studio.page.goto(`${server.address}icon.svg`);
    await studio.page.goBack();
    await count(studio, 2);
    await studio.field("seed", "11");
    await studio.page.goForward();
    await studio.page.goBack();
    await count(studio, 2);
    await studio.close();
  });

  test("a deleted picture comes back by Undo, and stays away without it", async () => {
    const studio = await visit();
    await studio.engine();
    await make(studio, "21", "22", "23");
    await tiles(studio).nth(1).focus();
    await studio.page.keyboard.press("Delete");
    await count(studio, 2);
    await studio.page.locator(".toast", { hasText: "Picture deleted" }).waitFor();
    assert.match((await tiles(studio).nth(1).getAttribute("aria-label")) ?? "", /seed 21/);
    await studio.button("gallery-undo").click();
    await count(studio, 3);
    assert.match((await tiles(studio).nth(1).getAttribute("aria-label")) ?? "", /seed 22/);
    await studio.page.reload();
    await count(studio, 3);
    await tiles(studio).nth(0).focus();
    await studio.page.keyboard.press("s");
    await studio.button("gallery-clear").click();
    await count(studio, 1);
    await studio.page.locator(".toast", { hasText: "2 pictures deleted" }).waitFor();
    await studio.page.reload();
    await count(studio, 1);
    assert.match((await tiles(studio).nth(0).getAttribute("aria-label")) ?? "", /seed 23/);
    await studio.close();
  });

  test("pictures are downloaded one by one, all or starred, with their text", async () => {
    const studio = await visit({ acceptDownloads: true });
    await studio.engine();
    await make(studio, "31", "32");
    const one = await downloaded(studio, () => studio.button("gallery-download").click());
    assert.equal(one.name, "darkroom-32-portrait-photo-of-a-man.png");
    const bytes = await readFile(one.path);
    assert.deepEqual(await studio.decode(bytes), await studio.picture());
    assert.match(await textOf(new Uint8Array(bytes), "parameters"), /Steps: 1,.* Seed: 32,/);

    await studio.button("gallery-star").click();
    const starred = await downloaded(studio, () => studio.button("gallery-zip-starred").click());
    const all = await downloaded(studio, () => studio.button("gallery-zip").click());
    assert.match(all.name, /^darkroom-\d{4}-\d\d-\d\d\.zip$/);
    const script =
      "import json, sys, zipfile; a = zipfile.ZipFile(sys.argv[1]); assert a.testzip() is None; " +
      "print(json.dumps({n: a.read(n).hex() for n in a.namelist()}))";
    /** @param {string} path */
    const contents = async (path) => {
      const { stdout } = await promisify(execFile)("python3", ["-c", script, path]);
      return /** @type {Record<string, string>} */ (JSON.parse(stdout));
    };
    assert.deepEqual(Object.keys(await contents(starred.path)), [one.name]);
    const files = await contents(all.path);
    assert.deepEqual(Object.keys(files), [
      "darkroom-32-portrait-photo-of-a-man.png",
      "darkroom-31-portrait-photo-of-a-man.png",
    ]);
    assert.equal(files[one.name], bytes.toString("hex"));
    await studio.close();
  });

  test("a picture is copied as an image, and dragged out as a file", async () => {
    const studio = await visit({ permissions: ["clipboard-read", "clipboard-write"] });
    await studio.engine();
    await make(studio, "41");
    await studio.button("gallery-copy").click();
    await studio.page.locator(".toast", { hasText: "Image copied." }).waitFor();
    const copied = await studio.page.evaluate(async () => {
      const [item] = await navigator.clipboard.read();
      const bytes = new Uint8Array(await (await item.getType("image/png")).arrayBuffer());
      return Array.from(bytes);
    });
    assert.deepEqual(await studio.decode(Buffer.from(copied)), await studio.picture());

    await studio.page.evaluate(() => {
      const shared = /** @type {any} */ (globalThis);
      const place = document.createElement("p");
      place.id = "place";
      place.textContent = "drop here";
      place.style.cssText = "position: fixed; inset: 0 auto auto 0; padding: 1em; z-index: 9";
      document.body.append(place);
      // Only the desktop reads it from a drop.
      document.addEventListener("dragstart", (event) => {
        shared.dragged = event.dataTransfer?.getData("DownloadURL");
      });
      place.addEventListener("dragover", (event) => event.preventDefault());
      place.addEventListener("drop", (event) => {
        event.preventDefault();
        shared.address = event.dataTransfer?.getData("text/uri-list");
      });
    });
    await tiles(studio).first().scrollIntoViewIfNeeded();
    const from = await tiles(studio).first().boundingBox();
    assert.ok(from);
    await studio.page.mouse.move(from.x + 20, from.y + 20);
    await studio.page.mouse.down();
    // A visitor's hand takes this long, and the file is read meanwhile.
    await studio.page.waitForTimeout(300);
    await studio.page.mouse.move(from.x + 40, from.y + 10, { steps: 3 });
    await studio.page.mouse.move(20, 20, { steps: 5 });
    await studio.page.mouse.up();
    const dropped = await studio.page.evaluate(async () => {
      const { dragged, address } = /** @type {any} */ (globalThis);
      // The page's policy lets a picture be shown by its address, but not be fetched.
      const image = new Image();
      image.src = address;
      await image.decode();
      const { width, height } = image;
      const context = new OffscreenCanvas(width, height).getContext("2d");
      context?.drawImage(image, 0, 0);
      const bytes = [...(context?.getImageData(0, 0, width, height).data ?? [])];
      return { dragged, picture: { width, height, bytes } };
    });
    assert.match(dropped.dragged, /^image\/png:darkroom-41-portrait-photo-of-a-man\.png:blob:/);
    assert.deepEqual(dropped.picture, await studio.picture());
    await studio.close();
  });

  test("arrow keys show other pictures, and leave the form alone until Enter", async () => {
    const studio = await visit();
    await studio.engine();
    await make(studio, "51", "52", "53");
    await studio.fill({ prompt: "being typed" });
    const label = studio.page.locator(".picture .label");
    await tiles(studio).nth(0).focus();
    for (const [key, seed] of [
      ["ArrowRight", "52"],
      ["End", "51"],
      ["ArrowRight", "51"],
      ["Home", "53"],
      ["ArrowRight", "52"],
    ]) {
      await studio.page.keyboard.press(key);
      await label.filter({ hasText: `Seed ${seed}` }).waitFor();
    }
    await studio.field("prompt", "being typed");
    await studio.page.keyboard.press("Enter");
    await studio.field("prompt", "Portrait photo of a man");
    await studio.field("seed", "52");
    assert.equal(
      await studio.page.locator(".gallery li button[tabindex='0']").count(),
      1,
      "the list is one stop of the Tab key",
    );
    await studio.close();
  });

  test("a thousand pictures: only those in view are decoded", async () => {
    const studio = await visit();
    await studio.engine();
    await studio.page.evaluate(async () => {
      const { Database } = await import(`${location.origin}/store/database.js`);
      const { PictureStore, newId } = await import(`${location.origin}/store/pictures.js`);
      const { thumbnailOf } = await import(`${location.origin}/studio/pictures.js`);
      const store = new PictureStore(new Database());
      const canvas = document.createElement("canvas");
      for (let at = 0; at < 1000; at += 1) {
        const context = canvas.getContext("2d");
        if (!context) throw new Error("no context");
        context.fillStyle = `hsl(${at} 80% 50%)`;
        context.fillRect(0, 0, 300, 150);
        const thumbnail = await thumbnailOf(canvas);
        const settings = { prompt: `a man, number ${at}`, negative_prompt: "", seed: String(at) };
        const made = Date.now() - 1_000_000 + at;
        const about = { seconds: 1, device: "CPU", warnings: [], width: 300, height: 150 };
        const record = { id: newId(made), made, settings, ...about, starred: false, thumbnail };
        await store.add(record, thumbnail);
      }
    });
    await studio.page.reload();
    await studio.engine();
    await count(studio, 1000);
    const list = studio.page.locator(".gallery ol");
    await list.scrollIntoViewIfNeeded();
    const decoded = () => studio.page.locator(".gallery img[src]").count();
    await studio.page.waitForFunction(() => {
      const root = document.querySelector("darkroom-studio")?.shadowRoot;
      return root?.querySelector(".gallery img")?.hasAttribute("src");
    });
    const atFirst = await decoded();
    assert.ok(atFirst > 10 && atFirst < 250, `${atFirst} thumbnails`);
    const seconds = await list.evaluate(async (list) => {
      const began = performance.now();
      for (let at = 0; at <= 40; at += 1) {
        list.scrollTop = (list.scrollHeight * at) / 40;
        await new Promise(requestAnimationFrame);
      }
      return (performance.now() - began) / 1000;
    });
    console.log(
      `${atFirst} thumbnails decoded; 40 scrolls of 1000 pictures: ${seconds.toFixed(2)} s`,
    );
    await studio.page.waitForFunction(() => {
      const images = document
        .querySelector("darkroom-studio")
        ?.shadowRoot?.querySelectorAll(".gallery img");
      return images?.[999].hasAttribute("src") && !images[0].hasAttribute("src");
    });
    assert.ok((await decoded()) < 250);
    await tiles(studio).last().focus();
    await studio.page.keyboard.press("Home");
    assert.ok(
      await tiles(studio)
        .first()
        .evaluate((tile) => tile.matches(":focus")),
    );
    await make(studio, "1001");
    await count(studio, 1001);
    await studio.close();
  });

  test("on a full disk pictures stay in memory, and are saved once there is room", async () => {
    const context = await browser.newContext();
    const studio = new Studio(await context.newPage());
    const session = await context.newCDPSession(studio.page);
    const { origin } = new URL(server.address);
    const quota = (/** @type {number} */ quotaSize) =>
      session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize });
    await quota(90e6);
    await studio.page.goto(server.address);
    await studio.engine();
    await make(studio, "61");
    // Up to the last kilobytes.
    await studio.page.evaluate(async () => {
      const { Database } = await import(`${location.origin}/store/database.js`);
      const database = new Database();
      const put = (/** @type {number} */ size) =>
        database
          .run(["files"], "readwrite", (/** @type {any} */ store) => {
            store("files").put(new Blob([new Uint8Array(size)]), `filler ${Math.random()}`);
          })
          .then(
            () => true,
            () => false,
          );
      for (const size of [4e6, 1e6, 1e5, 1e4, 1e3]) while (await put(size));
    });
    await make(studio, "62", "63");
    await count(studio, 3);
    const note = studio.page.locator("[data-part=gallery-note]");
    assert.match(await note.innerText(), /storage is full\. 2 pictures are not saved/);
    assert.equal(await studio.page.locator(".gallery [data-unkept]").count(), 2);
    console.log(`screenshot: ${await studio.screenshot("gallery-full-disk")}`);
    const file = await downloaded(studio, () => studio.button("gallery-download").click());
    assert.deepEqual(await studio.decode(await readFile(file.path)), await studio.picture());
    await quota(1e9);
    await tiles(studio).nth(2).focus();
    await studio.page.keyboard.press("Delete");
    await studio.page.locator(".gallery [data-unkept]").first().waitFor({
      state: "detached",
      timeout: 90_000,
    });
    assert.equal(await note.innerText(), "");
    await studio.page.reload();
    await count(studio, 2);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("with blocked storage the page works in memory, and says so", async () => {
    const context = await browser.newContext();
    await context.addInitScript(() => {
      for (const name of ["indexedDB", "localStorage", "sessionStorage"])
        Object.defineProperty(window, name, {
          get() {
            throw new DOMException("denied", "SecurityError");
          },
        });
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(server.address);
    await studio.engine();
    await make(studio, "71");
    await count(studio, 1);
    const note = await studio.page.locator("[data-part=gallery-note]").innerText();
    assert.match(note, /stores nothing for this page\. 1 picture is not saved/);
    const file = await downloaded(studio, () => studio.button("gallery-download").click());
    assert.deepEqual(await studio.decode(await readFile(file.path)), await studio.picture());
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("two tabs show the same pictures and stars", async () => {
    const one = await visit();
    await one.engine();
    const two = new Studio(await one.page.context().newPage());
    await two.page.goto(server.address);
    await two.engine();
    await make(one, "81", "82");
    await count(two, 2);
    await tiles(two).nth(0).focus();
    await two.page.keyboard.press("s");
    await one.page.waitForSelector(".gallery li button[data-starred]");
    await tiles(one).nth(1).focus();
    await one.page.keyboard.press("Delete");
    await count(two, 1);
    assert.match((await tiles(two).nth(0).getAttribute("aria-label")) ?? "", /seed 82/);
    await one.close();
  });

  test("without `keep` pictures are in memory: the oldest keep a thumbnail only", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.route("**/blank", (route) =>
      route.fulfill({ contentType: "text/html", body: "<!doctype html><title>blank</title>" }),
    );
    await page.goto(`${server.address}blank`);
    const found = await page.evaluate(async () => {
      const { Pictures, canvasFrom } = await import(`${location.origin}/studio/pictures.js`);
      const pictures = new Pictures({ store: null, send() {}, onChange() {}, atMost: 2 });
      const canvas = document.createElement("canvas");
      canvas.getContext("2d")?.fillRect(0, 0, 9, 9);
      for (const seed of ["1", "2", "3", "4"]) {
        const settings = { prompt: "", negative_prompt: "", seed, model: "", sampler: "" };
        const made = { settings, canvas, seconds: 1, device: "CPU", warnings: [] };
        const entry = await pictures.add(made);
        if (seed === "1") await pictures.star(entry, true);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      const last = await canvasFrom(await pictures.file(pictures.all[0]));
      const databases = (await indexedDB.databases()).length;
      return {
        files: pictures.all.map((/** @type {any} */ { record, file }) => [
          record.settings.seed,
          file !== null,
        ]),
        size: [last.width, last.height],
        problem: pictures.problem,
        databases,
      };
    });
    assert.deepEqual(found, {
      files: [
        ["4", true],
        ["3", true],
        ["2", false],
        ["1", true],
      ],
      size: [300, 150],
      problem: null,
      databases: 0,
    });
    await context.close();
  });
});
