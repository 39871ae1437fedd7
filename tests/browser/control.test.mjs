// @ts-check
/** Control of the negative prompt and of guidance: the groups of settings in a visitor's hands. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { pageModule } from "./modules.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

const { planOf, scaleAt, stepsOf } = await pageModule("studio/guidance-plan.js");
const { chartText } = await pageModule("studio/guidance-chart.js");
const { complete, invalidFields, requestOf } = await pageModule("studio/settings.js");
const { fromInfotext, infotext } = await pageModule("studio/infotext.js");

const SETTINGS = {
  prompt: "a man",
  negative_prompt: "hat",
  seed: "7",
  steps: "20",
  guidance_scale: "7.5",
  sampler: "euler",
  width: "128",
  height: "128",
  device: "auto",
  model: "models/portraits",
  prediction: "auto",
};
const CONTROLLED = {
  negative_strength: "1.5",
  negative_start: "0.1",
  negative_end: "0.6",
  negative_outside: "none",
  guidance_schedule: "cosine",
  guidance_kind: "apg",
  guidance_options: "eta=0.5, momentum=-0.5",
  guidance_stop: "0.99",
  nag_scale: "5",
};

describe("guidance over the steps", () => {
  test("a window has the steps between its shares, rounded down", () => {
    assert.deepEqual(stepsOf(0, 1, 20), { first: 1, last: 20 });
    assert.deepEqual(stepsOf(0.29, 0.6, 100), { first: 30, last: 60 });
    assert.deepEqual(stepsOf(0.5, 0.5, 20), { first: 11, last: 10 });
  });

  test("each schedule has the guidance scale as its mean", () => {
    for (const schedule of ["constant", "linear", "cosine"]) {
      const scales = Array.from({ length: 20 }, (_, step) => scaleAt(schedule, 7.5, step, 20));
      const mean = scales.reduce((sum, scale) => sum + scale, 0) / 20;
      assert.ok(Math.abs(mean - 7.5) < 1e-9, `${schedule}: ${mean}`);
    }
  });

  test("the chart says in words which steps are guided and which have the negative prompt", () => {
    const words = (/** @type {object} */ some) =>
      chartText(planOf(complete({ ...SETTINGS, ...some })));
    assert.equal(
      words({ guidance_end: "0.8", negative_start: "0.1", negative_end: "0.6" }),
      "Guidance scale 7.5 in steps 1 to 16. Negative prompt in steps 3 to 12.",
    );
    assert.match(words({ negative_end: "0.5", negative_outside: "none" }), /7.5 in steps 1 to 10/);
    assert.match(words({ guidance_schedule: "linear" }), /scale 1.33 to 13.67/);
    assert.match(words({ guidance_min_sigma: "1" }), /may end earlier/);
    assert.match(words({ guidance_scale: "1" }), /No guidance in any of 20 steps/);
    assert.equal(planOf(complete({ ...SETTINGS, steps: "many" })), null);
  });

  test("the request and a PNG's text carry all of it", () => {
    const settings = complete({ ...SETTINGS, ...CONTROLLED });
    const request = requestOf(settings);
    assert.deepEqual(request.negative_window, [0.1, 0.6]);
    assert.deepEqual(request.guidance_options, { eta: 0.5, momentum: -0.5 });
    assert.equal(request.guidance_kind, "apg");
    const { settings: read } = fromInfotext(infotext(settings));
    for (const [field, value] of Object.entries(CONTROLLED)) assert.equal(read[field], value);
  });

  test("a window that ends before its start is named", () => {
    const crossed = complete({ ...SETTINGS, negative_start: "0.6", negative_end: "0.2" });
    assert.deepEqual([...invalidFields(crossed).keys()], ["negative_end"]);
  });
});

describe("groups of settings", () => {
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
  const visit = (options) =>
    Studio.visit(browser, `${server.address}#prompt=a+man&negative-prompt=mustache`, options);

  /** @param {Studio} studio @param {string} group */
  const fold = (studio, group) => studio.page.locator(`[data-part=${group}-fold]`);
  /** @param {Studio} studio @param {string} group */
  const summary = (studio, group) => fold(studio, group).locator("summary");

  /** Waits for the summary of what is set. */
  const says = (
    /** @type {Studio} */ studio,
    /** @type {string} */ group,
    /** @type {string} */ text,
  ) =>
    studio.page
      .locator(`[data-part=${group}-set]`)
      .filter({ hasText: new RegExp(`^${text}$`) })
      .waitFor({ state: "attached" });

  /**
   * Makes a picture of one seed.
   * @param {Studio} studio
   * @param {Record<string, string>} [fields]
   */
  async function picture(studio, fields = {}) {
    await studio.generate({ steps: "4", sampler: "euler", seed: "7", ...fields });
    return (await studio.picture()).bytes;
  }

  test("they are folded, remember their state, sum up what is set and reset it", async () => {
    const studio = await visit();
    await studio.engine();
    for (const group of ["negative", "guidance", "nag"]) {
      assert.equal(await fold(studio, group).getAttribute("open"), null, group);
      assert.equal(await studio.page.locator(`[data-part=${group}-reset]`).isVisible(), false);
    }
    await summary(studio, "negative").focus();
    await studio.page.keyboard.press("Enter");
    const strength = studio.page.locator("[name=negative-strength]:visible");
    await strength.fill("1.45");
    await strength.press("ArrowUp");
    const end = studio.page.getByLabel("To", { exact: true }).first();
    await end.focus();
    for (let at = 0; at < 8; at += 1) await end.press("ArrowLeft");
    await says(studio, "negative", "strength 1.5, steps 0–60\\s%");
    await studio.page.getByText("In steps 1 to 12 of 20").waitFor();
    await studio.page.waitForURL(/negative-strength=1.5.*negative-end=0.6/);
    const all = studio.page.locator("[data-part=settings-set]");
    assert.equal((await all.textContent())?.trim(), "Negative prompt");

    await studio.page.reload();
    await says(studio, "negative", "strength 1.5, steps 0–60\\s%");
    assert.notEqual(await fold(studio, "negative").getAttribute("open"), null);
    assert.equal(await fold(studio, "guidance").getAttribute("open"), null);
    await studio.page.getByRole("button", { name: "Reset: Negative prompt" }).click();
    await says(studio, "negative", "");
    await studio.field("negative-end", "1");
    await studio.button("undo").click();
    await says(studio, "negative", "strength 1.5, steps 0–60\\s%");
    await strength.fill("3");
    await studio.page.getByText("“3” is not possible here: 0 to 2.").waitFor();
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("strength and steps of the negative prompt change the picture as they say", async () => {
    const studio = await visit();
    await studio.engine();
    const plain = await picture(studio);
    await summary(studio, "negative").click();
    const half = await picture(studio, { negative_strength: "0.5" });
    assert.notDeepEqual(half, plain);
    const none = await picture(studio, { negative_strength: "0" });
    assert.notDeepEqual(none, plain);
    assert.deepEqual(await picture(studio, { negative_strength: "1" }), plain);

    // The last two of four steps without the second prediction.
    await studio.page.locator("[data-slider=negative-end]").fill("0.5");
    await studio.page.getByLabel("In the other steps").selectOption("none");
    const early = await picture(studio);
    assert.notDeepEqual(early, plain);
    assert.match(await studio.text("status"), /2 of 8 predictions saved\./);
    await studio.page.getByRole("button", { name: "Reset: Negative prompt" }).click();
    assert.deepEqual(await picture(studio), plain);
    assert.doesNotMatch(await studio.text("status"), /saved/);
    assert.deepEqual(await picture(studio, { negative_prompt: "" }), none);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a slider does not pass the other one, by mouse and by key", async () => {
    const studio = await visit();
    await studio.engine();
    await summary(studio, "guidance").click();
    const [start, end] = ["start", "end"].map((side) =>
      studio.page.locator(`[data-slider=guidance-${side}]`),
    );
    await end.fill("0.6");
    const box = await start.boundingBox();
    if (!box) throw new Error("the slider is not visible");
    await start.click({ position: { x: box.width * 0.9, y: box.height / 2 } });
    assert.equal(await start.inputValue(), "0.6");
    await studio.field("guidance-start", "0.6");
    await end.focus();
    await end.press("Home");
    assert.equal(await end.inputValue(), "0.6");
    await says(studio, "guidance", "steps 60–60\\s%");
    await studio.close();
  });

  test("kinds of guidance come with their options, and a wrong option is named", async () => {
    const studio = await visit();
    await studio.engine();
    const plain = await picture(studio);
    await summary(studio, "guidance").click();
    const kind = studio.page.getByLabel("Kind", { exact: true });
    await kind.selectOption("perp-neg");
    await studio.page.getByText("3 predictions a step instead of 2.").waitFor();
    await kind.selectOption("apg");
    const eta = studio.page.locator("[data-option=eta]");
    await eta.fill("7");
    await studio.page.getByText("eta is a number from 0 to 1.").waitFor();
    await studio.button("generate").click();
    await studio.page.waitForFunction(() => {
      const field = document.querySelector("darkroom-studio")?.shadowRoot?.activeElement;
      return field instanceof HTMLInputElement && field.dataset.option !== undefined;
    });
    await eta.fill("0,5");
    await studio.page.getByLabel("Schedule", { exact: true }).last().selectOption("linear");
    await says(studio, "guidance", "APG, eta=0.5, linear");
    assert.notDeepEqual(await picture(studio), plain);
    await studio.page.getByRole("button", { name: "Reset: Guidance" }).click();
    await says(studio, "guidance", "");
    assert.deepEqual(await picture(studio), plain);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("where guidance cannot apply the negative prompt, one tap does it without", async () => {
    const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
    const studio = await visit(phone);
    await studio.engine();
    const offer = studio.page.getByRole("button", { name: "Use it anyway (NAG)" });
    assert.equal(await offer.isVisible(), false);
    const without = await picture(studio, { guidance_scale: "1" });
    await studio.page.getByText("the negative prompt has no effect").first().waitFor();
    await offer.tap();
    await studio.page.getByText("NAG applies it, at scale 5.").waitFor();
    assert.notDeepEqual(await picture(studio), without);
    await summary(studio, "nag").tap();
    await studio.page.locator("[name=nag-scale]:visible").fill("1");
    await offer.waitFor();
    assert.deepEqual(await picture(studio), without);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });
});
