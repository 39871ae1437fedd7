// @ts-check
/** Settings in the address bar. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./modules.mjs";

const { fromFragment, requestOf, toFragment } = await pageModule("studio/settings.js");

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
