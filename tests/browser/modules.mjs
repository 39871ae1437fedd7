// @ts-check
/** Imports modules of the page in Node, for tests that need no browser. */

import { rmSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** A copy of the page's modules, as Node reads them. */
async function copied() {
  const www = new URL("../../www/", import.meta.url).pathname;
  const folder = await mkdtemp(join(tmpdir(), "darkroom-modules-"));
  // Node treats .js files as modules where a package.json says so. The page has none.
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await cp(www, folder, {
    recursive: true,
    filter: (path) => !/\/(models|vocab|pkg)$/.test(path),
  });
  return folder;
}

/**
 * @param {string} name relative to www/
 * @returns {Promise<any>}
 */
export async function pageModule(name) {
  const folder = await copied();
  try {
    return await import(pathToFileURL(join(folder, name)).href);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Modules that share their state, and may import others later.
 * @param {string[]} names relative to www/
 * @returns {Promise<any[]>}
 */
export async function pageModules(...names) {
  const folder = await copied();
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return Promise.all(names.map((name) => import(pathToFileURL(join(folder, name)).href)));
}
