// @ts-check
/** Modules of the page in Node, for what needs no browser. */
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * @param {string} name relative to www/
 * @returns {Promise<any>}
 */
export async function pageModule(name) {
  const www = new URL("../../www/", import.meta.url).pathname;
  const folder = await mkdtemp(join(tmpdir(), "darkroom-modules-"));
  try {
    // Node takes a folder's .js files for modules where its package.json says so, and a page has none.
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    await cp(www, folder, {
      recursive: true,
      filter: (path) => !/\/(models|vocab|pkg)$/.test(path),
    });
    return await import(pathToFileURL(join(folder, name)).href);
  } finally {
    await rm(folder, { recursive: true });
  }
}
