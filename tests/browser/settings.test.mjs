// @ts-check
/** Settings in the address bar. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./modules.mjs";

const { complete, fromFragment, invalidFields, requestOf, toFragment, withModelDefaults } =
  await pageModule("studio/settings.js");
const { negativeHint } = await pageModule("studio/negative-hint.js");
const { stepsDone } = await pageModule("studio/progress.js");
const { ADVANCED_DEFAULTS } = await pageModule("studio/advanced-settings.js");

const SETTINGS = {
  prompt: "a man & a dog",
  negative_prompt: "hat, glasses",
  seed: "18446744073709551615",
  steps: "20",
  guidance_scale: "7.5",
  sampler: "dpm++2m",
  width: "512",
  height: "768",
  device: "auto",
  model: "o/n@main",
  prediction: "v",
};

test("settings written into the address bar are read back", () => {
  const fragment = toFragment(SETTINGS, {});
  assert.deepEqual(fromFragment(fragment), SETTINGS);
  const names = [...new URLSearchParams(fragment.slice(1)).keys()];
  assert.deepEqual(
    names.filter((name) => /negative|guidance/.test(name)),
    ["negative-prompt", "guidance-scale"],
  );
});

test("names of earlier versions are read from the address bar, and newer ones win", () => {
  assert.deepEqual(fromFragment("#negative=hat&guidance=3"), {
    negative_prompt: "hat",
    guidance_scale: "3",
  });
  assert.deepEqual(fromFragment("#negative=hat&negative-prompt=&guidance=3&guidance-scale=5"), {
    negative_prompt: "",
    guidance_scale: "5",
  });
});

test("the engine's request has the same names as the settings", () => {
  const { prompt, negative_prompt, seed, sampler } = SETTINGS;
  assert.deepEqual(requestOf(SETTINGS), {
    prompt,
    negative_prompt,
    seed,
    steps: 20,
    guidance_scale: 7.5,
    sampler,
    width: 512,
    height: 768,
  });
});

test("advanced settings at their neutral values are in no request and no address", () => {
  const settings = complete(SETTINGS);
  assert.deepEqual(requestOf(settings), requestOf(SETTINGS));
  assert.equal(toFragment(settings, ADVANCED_DEFAULTS), toFragment(SETTINGS, {}));
});

test("advanced settings have the engine's names and types in the request", () => {
  const settings = complete({
    ...SETTINGS,
    clip_skip: "2",
    zero_snr: "false",
    negative_strength: "0.5",
    negative_end: "0.4",
    guidance_options: "phi=0.7, rescale = 0.5",
    variation_seed: "18446744073709551615",
    variation_strength: "0.5",
    rng: "philox",
  });
  assert.deepEqual(requestOf(settings), {
    ...requestOf(SETTINGS),
    clip_skip: 2,
    zero_snr: false,
    negative_strength: 0.5,
    negative_window: [0, 0.4],
    guidance_options: { phi: 0.7, rescale: 0.5 },
    variation_seed: "18446744073709551615",
    variation_strength: 0.5,
    rng: "philox",
  });
  assert.deepEqual(fromFragment(toFragment(settings, ADVANCED_DEFAULTS)).rng, "philox");
});

test("sampler and schedule type are apart, and the one name of earlier versions is read", () => {
  const karras = model({ default_sampler: "dpm++2m-karras", default_schedule: "karras" });
  const plain = model({ default_sampler: "pndm", default_schedule: "model" });
  for (const [info, sampler, schedule, expected] of [
    [karras, "", "", ["dpm++2m", "karras"]],
    [karras, "", "beta", ["dpm++2m", "beta"]],
    [karras, "dpm++2m-karras", "", ["dpm++2m", "karras"]],
    // Old links and texts meant the plain one, whatever the model's files say.
    [karras, "dpm++2m", "", ["dpm++2m", "normal"]],
    [karras, "dpm++2m", "model", ["dpm++2m", "karras"]],
    [karras, "euler", "", ["euler", ""]],
    [karras, "ddim", "karras", ["ddim", ""]],
    [plain, "", "", ["pndm", ""]],
    [plain, "dpm++2m", "", ["dpm++2m", ""]],
    [plain, "heun", "exponential", ["heun", "exponential"]],
  ]) {
    const filled = withModelDefaults({ sampler, schedule, width: "", height: "" }, info);
    assert.deepEqual([filled.sampler, filled.schedule], expected, `${sampler} ${schedule}`);
  }
  assert.equal(withModelDefaults({ sampler: "euler" }, karras).schedule, undefined);
  // A link that names neither changes neither.
  assert.equal(withModelDefaults({ schedule: "" }, karras).schedule, undefined);
});

/** @param {object} more */
const model = (more) => ({ default_width: 512, default_height: 512, ...more });

test("what a negative prompt can do is said for each kind of model", () => {
  const at = (/** @type {string} */ guidance_scale) => ({ guidance_scale });
  const standard = { kind: "standard", guidance_embedded: false };
  assert.equal(negativeHint(standard, at("7.5")), "");
  assert.match(negativeHint(standard, at("1")), /At a guidance scale of 1/);
  assert.match(negativeHint(null, at("1.0")), /At a guidance scale of 1/);
  assert.match(negativeHint(standard, at("0")), /moves toward/);
  assert.equal(negativeHint(standard, at("")), "", "an empty field has a note of its own");
  assert.match(negativeHint({ kind: "turbo", guidance_embedded: false }, at("1")), /made for/);
  assert.equal(negativeHint({ kind: "turbo", guidance_embedded: false }, at("2")), "");
  assert.match(negativeHint({ kind: "lcm", guidance_embedded: true }, at("8")), /no effect/);
});

test("progress counts calls, and names the step they belong to", () => {
  const of = (/** @type {number} */ steps, /** @type {number} */ calls) =>
    Array.from({ length: calls + 1 }, (_, call) => stepsDone({ call, calls, steps }));
  assert.deepEqual(of(3, 3), [0, 1, 2, 3]);
  assert.deepEqual(of(3, 5), [0, 0, 1, 1, 2, 3], "two calls in a step, one in the last");
  assert.deepEqual(of(3, 4), [0, 0, 1, 2, 3], "two calls in the first step");
});

test("a variation seed is sent with a strength, as 0 where it is left open", () => {
  const request = (/** @type {object} */ some) => requestOf(complete({ ...SETTINGS, ...some }));
  assert.deepEqual(request({ variation_seed: "9" }), requestOf(SETTINGS));
  const open = request({ variation_strength: "0.1" });
  assert.deepEqual([open.variation_seed, open.variation_strength], ["0", 0.1]);
});

test("values of advanced settings that are out of range are named", () => {
  const settings = { clip_skip: "0", negative_strength: "3", rng: "dice", ensd: "1.5" };
  const problems = invalidFields(complete({ ...SETTINGS, ...settings }));
  assert.deepEqual([...problems.keys()].sort(), Object.keys(settings).sort());
  assert.match(problems.get("negative_strength"), /“3”.*0 to 2/);
  const seed = invalidFields(complete({ ...SETTINGS, variation_seed: "x" }));
  assert.match(seed.get("variation_seed"), /0 to 18446744073709551615/);
});
