// @ts-check
/** The custom-elements manifest and the package's types, compared with the class itself. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { pageModule } from "./modules.mjs";

const ROOT = new URL("../../", import.meta.url).pathname;
const NPM = join(ROOT, "xtask/npm");
/** Members that every custom element may have. */
const USUAL = /^(constructor|setValue|adopt|.*Callback)$/;

/** @param {string} text @param {RegExp} pattern @returns {string[]} first groups, sorted */
const found = (text, pattern) =>
  [...new Set(Array.from(text.matchAll(pattern), ([, group]) => group))].sort();

/** @param {{name: string}[]} entries */
const names = (entries) => entries.map(({ name }) => name).sort();

describe("the manifest", async () => {
  const text = await readFile(join(NPM, "custom-elements.json"), "utf8");
  const [element] = JSON.parse(text).modules[0].declarations;
  const { DarkroomStudio } = await pageModule("darkroom-studio.js");

  test("names the attributes and members of the class", () => {
    assert.deepEqual(
      names(element.attributes),
      [...DarkroomStudio.observedAttributes, "name"].sort(),
    );
    /** @type {string[]} */
    const members = [];
    for (let at = DarkroomStudio.prototype; at !== Object.prototype; at = Object.getPrototypeOf(at))
      members.push(...Object.getOwnPropertyNames(at).filter((name) => !USUAL.test(name)));
    assert.deepEqual(names(element.members), [...new Set(members)].sort());
    for (const { name, fieldName } of element.attributes) {
      const property = name.replace(/-(.)/g, (/** @type {string} */ _, /** @type {string} */ it) =>
        it.toUpperCase(),
      );
      assert.equal(fieldName, property);
    }
  });

  test("names the events, slots, parts and custom properties", async () => {
    const template = (await pageModule("studio/template.js")).template();
    const figure = (await pageModule("studio/template.js")).figureTemplate();
    const events = await readFile(join(ROOT, "www/studio/events.js"), "utf8");
    const details = /@typedef \{object\} Details\n(.*?)\*\//s.exec(events)?.[1] ?? "";
    assert.deepEqual(names(element.events), found(details, /@property \{.*\} (\w+) /g));
    assert.deepEqual(names(element.slots), found(template, /<slot name="([\w-]+)"/g));
    const parts = found(template + figure, /(?<!-)\bpart="([^"]+)"/g).flatMap((part) =>
      part.split(" "),
    );
    assert.deepEqual(names(element.cssParts), [...new Set(parts)].sort());
    const theme = await readFile(join(ROOT, "www/studio/theme.css"), "utf8");
    assert.deepEqual(names(element.cssProperties), found(theme, /(--darkroom-[\w-]+)/g));
  });

  test("the documentation names all of them", async () => {
    const docs = await readFile(join(ROOT, "docs/embedding.md"), "utf8");
    for (const kind of ["attributes", "members", "events", "slots", "cssParts", "cssProperties"])
      for (const { name } of element[kind])
        assert.ok(docs.includes(`\`${name}`) || docs.includes(`.${name}`), `${kind}: ${name}`);
  });

  test("the types know the tag, its properties and the details of its events", async () => {
    const folder = await mkdtemp(join(tmpdir(), "darkroom-types-"));
    const tsc = join(ROOT, "tests/browser/node_modules/typescript/bin/tsc");
    const run = promisify(execFile);
    await run(tsc, [
      "--project",
      join(ROOT, "tests/browser/tsconfig.page.json"),
      ...["--noEmit", "false", "--declaration", "--emitDeclarationOnly"],
      ...["--rootDir", join(ROOT, "www"), "--outDir", join(folder, "darkroom-studio/types")],
    ]);
    await cp(join(ROOT, "www/pkg"), join(folder, "darkroom-studio/types/pkg"), { recursive: true });
    await cp(join(NPM, "index.d.ts"), join(folder, "darkroom-studio/types/index.d.ts"));
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    const use = join(folder, "use.ts");
    await writeFile(
      use,
      `import "./darkroom-studio/types/index.js";
      import { createDarkroom } from "./darkroom-studio/types/api.js";
      const studio = document.querySelector("darkroom-studio")!;
      studio.addEventListener("picture", ({ detail }) => detail.bitmap.width + detail.seed.length);
      studio.addEventListener("error", ({ detail }) => detail.kind === "network");
      studio.addEventListener("click", () => {});
      studio.settings = { prompt: "a", steps: "3" };
      const picture = await studio.generate({ signal: AbortSignal.timeout(5) });
      const seconds: number = picture.timings.total;
      const darkroom = await createDarkroom({ model: "a/b", device: "cpu" });
      const { blob }: { blob: Blob } = await darkroom.generate({ prompt: "x", seed: 5n });
      // @ts-expect-error no such event
      studio.addEventListener("picture", ({ detail }) => detail.nothing);
      // @ts-expect-error no such option
      await darkroom.generate({ prompt: "x", negative: "y" });
      export { blob, seconds };`,
    );
    const checked = run(tsc, [
      ...["--noEmit", "--strict", "--skipLibCheck", "--target", "es2023", "--module", "esnext"],
      ...["--moduleResolution", "bundler", "--types", "", use],
      ...["--lib", "es2023,esnext.disposable,dom,dom.iterable"],
    ]);
    await assert.doesNotReject(checked.catch((error) => Promise.reject(new Error(error.stdout))));
    await rm(folder, { recursive: true });
  });
});
