// @ts-check
/** First visit over 15 Mbit/s; slow.full.mjs has a tenth of that. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { slowVisit } from "./slow-visit.mjs";

/**
 * Time for starting scripts and engine and for eight steps, on a machine with much other work. The
 * limits for an idle one are in slow.full.mjs.
 */
const COMPUTING_S = 30;
const STARTING_S = 10;

test("on a slow line the form comes first, bytes move, and no time is lost", async () => {
  const { form, bytesMove, picture, line, megabytes } = await slowVisit(15);
  assert.ok(form < 3, `the form came after ${form} s`);
  assert.ok(bytesMove < STARTING_S, `no byte shown for ${bytesMove} s`);
  assert.ok(megabytes < 25, `${megabytes} MB`);
  assert.ok(picture < line + COMPUTING_S, `${picture} s, of which the bytes take ${line} s`);
});
