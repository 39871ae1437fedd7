// @ts-check
/** First visit over 1.5 Mbit/s, which takes two minutes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { slowVisit } from "./slow-visit.mjs";

test("a slow line of 1.5 Mbit/s is busy from the first second to the picture", async () => {
  const { form, bytesMove, picture, line, megabytes } = await slowVisit(1.5);
  assert.ok(form < 1.5, `the form came after ${form} s`);
  assert.ok(bytesMove < 3, `no byte shown for ${bytesMove} s`);
  assert.ok(megabytes < 25, `${megabytes} MB`);
  assert.ok(picture < 1.15 * line, `${picture} s, of which the bytes take ${line} s`);
});
