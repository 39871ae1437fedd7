// @ts-check
/** The test of png-text.test.mjs with many more inputs. */
import { test } from "node:test";
import { thereAndBack, tryInputs } from "./png-inputs.mjs";

test("no input of two million throws or makes the reader allocate much", async () => {
  let inputs = 0;
  for (let seed = 1; seed <= 10; seed += 1) inputs += await tryInputs(120_000, seed);
  inputs += thereAndBack(200_000, 3);
  console.log(`${inputs} inputs`);
});
