// @ts-check
/** The examples of examples/, with the npm package as it is packed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { launchChromium } from "./chromium.mjs";
import { npmFolder } from "./dist.mjs";
import { CORS, HostSite, WWW } from "./host-site.mjs";

const run = promisify(execFile);
const PATIENCE_MS = 120_000;
const EXAMPLES = new URL("../../examples/", import.meta.url).pathname;

describe("the examples", () => {
  /** @type {import("playwright-core").Browser} */ let browser;
  /** @type {string} */ let folder;
  /** @type {string} */ let tarball;
  before(async () => {
    browser = await launchChromium({ webgpu: false });
    folder = await mkdtemp(join(tmpdir(), "darkroom-examples-"));
    const packed = await run("npm", ["pack", npmFolder(), "--pack-destination", folder]);
    tarball = join(folder, packed.stdout.trim().split("\n").at(-1) ?? "");
    await run("tar", ["-xzf", tarball, "-C", folder]);
  });
  after(async () => {
    await browser?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  /**
   * A site with an example at a path of its own, beside the package and a model.
   * @param {string} example folder on the disk
   */
  async function publish(example) {
    return HostSite.start({
      "some/where/darkroom-studio/": join(folder, "package"),
      "some/where/models/": join(WWW, "models"),
      "some/where/": example,
    });
  }

  /** Opens an example, makes a picture and returns the page. @param {HostSite} site */
  async function drive(site) {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    /** @type {string[]} */
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(`${site.address}some/where/`);
    await page.locator("darkroom-studio[data-engine=ready]").waitFor();
    await page.getByRole("button", { name: "Generate" }).click();
    await page.locator(".picture[data-state=finished]").waitFor();
    const colours = await page.locator(".picture canvas").evaluate((canvas) => {
      if (!(canvas instanceof HTMLCanvasElement)) throw new TypeError("not a canvas");
      const { width, height } = canvas;
      const { data } = canvas.getContext("2d")?.getImageData(0, 0, width, height) ?? { data: [] };
      return new Set(Array.from(data)).size;
    });
    assert.ok(colours > 50, `a picture of ${colours} different values`);
    const served = errors.filter((error) => !/404 \(Not Found\)/.test(error));
    return { page, errors: served };
  }

  test("subpath: a folder of a static site", async () => {
    const site = await publish(join(EXAMPLES, "subpath"));
    const { page, errors } = await drive(site);
    await page.getByText(/Last picture: seed 14, \d+\.\d s/).waitFor();
    assert.deepEqual(errors, []);
    const outside = site.log.filter((path) => !/^(some\/where\/|favicon)/.test(path));
    assert.deepEqual(outside, [], "requests outside of the folder");
    await page.close();
    await site.close();
  });

  test("strict: a Content Security Policy with Trusted Types", async () => {
    const site = await publish(join(EXAMPLES, "strict"));
    const { page, errors } = await drive(site);
    const button = page.getByRole("button", { name: "Generate" });
    await page.mouse.move(0, 0);
    const colour = await button.evaluate((element) => getComputedStyle(element).borderTopColor);
    assert.equal(colour, "rgb(29, 67, 128)", "the part is styled by the page");
    const others = errors.filter((error) => !/'TrustedScriptURL' assignment/.test(error));
    assert.deepEqual(others, []);
    await page.close();
    await site.close();
  });

  test("cdn: the package from another origin", async () => {
    const cdn = await HostSite.start({ "darkroom-studio/": join(folder, "package") });
    cdn.headers = () => CORS;
    const site = await publish(join(EXAMPLES, "cdn"));
    const html = await readFile(join(EXAMPLES, "cdn/index.html"), "utf8");
    assert.ok(html.includes("https://cdn.example/"));
    site.put("some/where/index.html", html.replaceAll("https://cdn.example/", cdn.address));
    const { page, errors } = await drive(site);
    assert.deepEqual(errors, []);
    assert.ok(cdn.log.includes("darkroom-studio/worker.js"), `${cdn.log}`);
    await page.close();
    await site.close();
    await cdn.close();
  });

  test("vite: a build of the element and of the api", async () => {
    const project = join(folder, "vite");
    await cp(join(EXAMPLES, "vite"), project, { recursive: true });
    const manifest = JSON.parse(await readFile(join(project, "package.json"), "utf8"));
    manifest.dependencies["darkroom-studio"] = `file:${tarball}`;
    await writeFile(join(project, "package.json"), JSON.stringify(manifest));
    await run("npm", ["install", "--no-audit", "--no-fund"], { cwd: project });
    await run("npm", ["run", "build"], { cwd: project });
    const site = await HostSite.start({
      "some/where/models/": join(WWW, "models"),
      "some/where/": join(project, "dist"),
    });
    const { page, errors } = await drive(site);
    await page.getByRole("button", { name: "Make one without the studio" }).click();
    const seed = await page.locator("canvas[data-seed]").getAttribute("data-seed");
    assert.match(seed ?? "", /^\d+$/);
    assert.deepEqual(errors, []);
    await page.close();
    await site.close();
  });
});
