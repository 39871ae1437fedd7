// @ts-check
/** The prompt language and the sets of prompts in the page, by mouse, keyboard and touch. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

const QUICK = { steps: "2", sampler: "euler", seed: "7" };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

describe("prompt language", () => {
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

  /**
   * @param {Record<string, string>} [settings] in the address
   * @param {import("playwright-core").BrowserContextOptions} [options]
   */
  async function visit(settings = {}, options = {}) {
    const address = `${server.address}#${new URLSearchParams(settings)}`;
    const studio = await Studio.visit(browser, address, options);
    await studio.engine();
    return studio;
  }

  /** Marks of a prompt with these classes. @param {Studio} studio @param {string} classes */
  const marks = (studio, classes, name = "prompt") =>
    studio.page.locator(`[data-marks=${name}] ${classes}`);

  /**
   * Pixels in which the letters of the marks' sheet differ from those of the field, as a share of
   * those of the letters.
   * @param {Studio} studio
   */
  async function difference(studio) {
    const field = studio.page.locator("textarea[name=prompt]");
    const shot = async (/** @type {boolean} */ sheet) => {
      await field.evaluate((field, sheet) => {
        field.blur();
        const layer = /** @type {HTMLElement} */ (field.parentElement?.querySelector(".marks"));
        layer.style.color = sheet ? "black" : "transparent";
        field.style.color = sheet ? "transparent" : "black";
        for (const span of layer.querySelectorAll("span"))
          span.style.cssText =
            "background: none; text-decoration: none; border: 0; box-shadow: none";
      }, sheet);
      return studio.decode(await field.screenshot({ animations: "disabled" }));
    };
    const [own, sheet] = [await shot(false), await shot(true)];
    const dark = (/** @type {number[]} */ bytes, /** @type {number} */ at) => bytes[at] < 128;
    let [letters, other] = [0, 0];
    for (let at = 0; at < own.bytes.length; at += 4) {
      letters += Number(dark(own.bytes, at));
      other += Number(dark(own.bytes, at) !== dark(sheet.bytes, at));
    }
    assert.ok(letters > 200, `${letters} dark pixels`);
    return other / letters;
  }

  test("marks stand on the field's letters: wrapped, scrolled, from right to left", async () => {
    const long = "a (wide:1.3) street at [dusk:night:0.5], (blurred:0.8) lights, ".repeat(5);
    const texts = [`${long}(odd🐈 signs:1.1)\n\n(end:1.6)\n`, `(עברית וגם:1.3) english (abc:0.9)`];
    const studio = await visit({ "prompt-syntax": "a1111", prompt: texts[0] });
    await marks(studio, ".up-3").waitFor();
    const field = studio.page.locator("textarea[name=prompt]");
    await field.evaluate((field) => {
      field.style.height = "7rem";
      field.style.letterSpacing = "0.5px";
    });
    assert.ok((await difference(studio)) < 0.1, "wrapped");
    await field.evaluate((field) => {
      field.scrollTop = 61;
    });
    await studio.page.waitForFunction(() => {
      const root = document.querySelector("darkroom-studio")?.shadowRoot;
      return root?.querySelector("[data-marks=prompt]")?.scrollTop === 61;
    });
    assert.ok((await difference(studio)) < 0.1, "scrolled");
    await field.evaluate((field) => {
      field.setAttribute("dir", "rtl");
    });
    await field.fill(texts[1]);
    await marks(studio, ".down-1").waitFor();
    assert.ok((await difference(studio)) < 0.1, "from right to left");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("marks say what the engine reads, and a bracket without its partner is named", async () => {
    const studio = await visit({ "prompt-syntax": "a1111", steps: "20" });
    const prompt = studio.page.locator("textarea[name=prompt]");
    await prompt.fill("a (cat:1.6) [dog:wolf:0.5] [red|blue] (blur:-1) BREAK <lora:x:1> (open");
    await marks(studio, ".problem").waitFor();
    const text = async (/** @type {string} */ classes) =>
      (await marks(studio, classes).allInnerTexts()).join("");
    assert.equal(await text(".up-3"), "cat");
    assert.equal(await text(".minus"), "blur");
    assert.equal(await text(".edit"), "[dog:wolf:0.5]");
    assert.equal(await text(".turn"), "[red|blue]");
    assert.equal(await text(".break"), "BREAK");
    assert.equal(await text(".lora"), "<lora:x:1>");
    assert.equal(await text(".problem"), "(");
    const note = studio.page.locator("[data-note=prompt]");
    assert.match(await note.innerText(), /“\(” is not closed/);
    // Typed text has no marks of another place, also before the engine has read it.
    await prompt.press("Home");
    await prompt.pressSequentially("xx ");
    assert.equal(await text(".up-3"), "cat");
    await prompt.fill(`(begin:1.1) ${"one cat, ".repeat(16)}`);
    await marks(studio, ".up-1").waitFor();
    const tokens = studio.page.locator("[data-for=prompt]");
    assert.match(await tokens.innerText(), /^\d+ \/ 150 tokens$/);
    assert.equal(await marks(studio, ".border").count(), 1);
    // Brackets are text again, and the border stays.
    await studio.fill({});
    const box = studio.page.locator("[data-switch=prompt-syntax]");
    await studio.unfold(box);
    await box.uncheck();
    await marks(studio, ".up-1").waitFor({ state: "detached" });
    assert.equal(await marks(studio, ".border").count(), 1);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("the offer switches the language on, which changes the picture and is kept", async () => {
    const studio = await visit({ ...QUICK, "negative-prompt": "" });
    const offer = studio.page.locator("[data-part=brackets-offer]");
    assert.equal(await offer.isVisible(), false);
    await studio.page.locator("[data-part=lock]").check();
    await studio.page.locator("textarea[name=prompt]").fill("photo of a (woman:1.9)");
    await offer.waitFor();
    await studio.page.locator("[data-act=brackets-no]").click();
    await offer.waitFor({ state: "hidden" });
    await studio.generate();
    const plain = await studio.picture();
    await studio.page.evaluate(() => {
      document.querySelector("darkroom-studio")?.addEventListener("picture", async (event) => {
        const { blob } = /** @type {CustomEvent} */ (event).detail;
        /** @type {any} */ (globalThis).pngText = await blob.text();
      });
    });
    // A key for weights asks again.
    await studio.page.locator("textarea[name=prompt]").press("Control+ArrowUp");
    await offer.waitFor();
    await studio.page.locator("[data-act=brackets-yes]").focus();
    await studio.page.keyboard.press("Enter");
    await offer.waitFor({ state: "hidden" });
    await studio.field("prompt-syntax", "a1111");
    await studio.page.waitForFunction(() => location.hash.includes("prompt-syntax=a1111"));
    await studio.generate();
    assert.notDeepEqual((await studio.picture()).bytes, plain.bytes);
    const found = await studio.page.waitForFunction(
      () => /** @type {any} */ (globalThis).pngText?.match(/Prompt syntax: \w+/)?.[0],
    );
    assert.equal(await found.jsonValue(), "Prompt syntax: a1111");
    await studio.button("undo").click();
    await studio.field("prompt-syntax", "plain");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("Ctrl + Up and Down change a weight in one step of the field's own undo", async () => {
    const studio = await visit({ "prompt-syntax": "a1111", prompt: "a red cat" });
    const prompt = studio.page.locator("textarea[name=prompt]");
    await prompt.focus();
    await prompt.evaluate((field) => /** @type {any} */ (field).setSelectionRange(3, 3));
    await prompt.press("Control+ArrowUp");
    await studio.field("prompt", "a (red:1.1) cat");
    await prompt.press("Control+ArrowUp");
    await studio.field("prompt", "a (red:1.2) cat");
    await marks(studio, ".up-2").waitFor();
    await prompt.press("Control+z");
    await studio.field("prompt", "a (red:1.1) cat");
    await prompt.press("Control+ArrowDown");
    await studio.field("prompt", "a red cat");
    await studio.close();
  });

  test("two buttons change the weight of what a finger has selected", async () => {
    const studio = await visit({ "prompt-syntax": "a1111", prompt: "a red cat" }, PHONE);
    const prompt = studio.page.locator("textarea[name=prompt]");
    const stronger = studio.page.locator(".paper:has([name=prompt]) [data-act=stronger]");
    assert.equal(await stronger.isVisible(), false);
    await prompt.tap();
    await prompt.evaluate((field) => /** @type {any} */ (field).setSelectionRange(2, 5));
    await stronger.waitFor();
    await stronger.tap();
    await studio.field("prompt", "a (red:1.1) cat");
    await studio.page.locator(".paper:has([name=prompt]) [data-act=weaker]").tap();
    await studio.field("prompt", "a red cat");
    await prompt.evaluate((field) => /** @type {any} */ (field).setSelectionRange(0, 0));
    await stronger.waitFor({ state: "hidden" });
    await studio.close();
  });

  test("a set is saved, is there after a reload, and is used, renamed and deleted", async () => {
    const studio = await visit();
    const dialog = studio.page.locator("[data-part=library]");
    const own = dialog.locator("[data-part=library-own] li");
    await studio.fill({ prompt: "", negative_prompt: "hat, glasses" });
    await studio.button("library").click();
    await dialog.locator("[data-part=library-save] input").fill("No hats");
    await studio.page.keyboard.press("Enter");
    await own.filter({ hasText: "hat, glasses" }).waitFor();
    await studio.page.keyboard.press("Escape");
    await studio.page.reload();
    await studio.engine();
    await studio.fill({ negative_prompt: "beard" });
    await studio.button("library").click();
    await own.getByRole("button", { name: "Add to the prompts: No hats" }).click();
    await studio.field("negative-prompt", "beard, hat, glasses");
    await studio.button("undo").click();
    await studio.field("negative-prompt", "beard");
    await studio.button("library").click();
    await own.getByRole("button", { name: "Rename: No hats" }).click();
    await studio.page.keyboard.type("Heads");
    await studio.page.keyboard.press("Enter");
    await own.getByRole("button", { name: "Replace the prompts by: Heads" }).click();
    await studio.field("negative-prompt", "hat, glasses");
    await studio.button("library").click();
    await own.getByRole("button", { name: "Delete: Heads" }).click();
    await dialog.locator("[data-part=library-none]").waitFor();
    await dialog.locator("[data-act=library-undo]").click();
    await own.filter({ hasText: "Heads" }).waitFor();
    const starters = dialog.locator("[data-part=library-starters] li");
    assert.equal(await starters.count(), 4);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("styles.csv is imported with its odd lines named, and exported again", async () => {
    const studio = await visit();
    const dialog = studio.page.locator("[data-part=library]");
    await studio.button("library").click();
    const csv =
      '\ufeffname,prompt,negative_prompt\r\nFilm,"{prompt}, 35mm\nfilm",blurry\r\n,nameless,\r\n';
    await dialog.locator("input[type=file]").setInputFiles({
      name: "styles.csv",
      mimeType: "text/csv",
      buffer: Buffer.from(csv),
    });
    const note = dialog.locator("[data-part=library-note]");
    await note.filter({ hasText: "1 set imported." }).waitFor();
    assert.match(await note.innerText(), /Line 4: no name/);
    const [file] = await Promise.all([
      studio.page.waitForEvent("download"),
      dialog.locator("[data-act=library-export]").click(),
    ]);
    assert.equal(file.suggestedFilename(), "styles.csv");
    const written = await readFile(await file.path(), "utf8");
    assert.equal(written, csv.replace(",nameless,\r\n", ""));
    await dialog.getByRole("button", { name: "Replace the prompts by: Film" }).click();
    await studio.field("prompt", "Portrait photo of a man, 35mm\nfilm");
    await studio.close();
  });
});
