// @ts-check
/** As png-text.test.mjs, with as many inputs as it takes to believe it. */
import { test } from "node:test";
import { thereAndBack, tryInputs } from "./png-inputs.mjs";

test("any bytes, for two million inputs and more: nothing thrown, nothing large allocated", async () => {
  let inputs = 0;
  for (let seed = 1; seed <= 10; seed += 1) inputs += await tryInputs(120_000, seed);
  inputs += thereAndBack(200_000, 3);
  console.log(`${inputs} inputs`);
});
