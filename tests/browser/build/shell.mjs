// @ts-check
/** The service worker with the list of the files in `dist/`. */
import { transform } from "esbuild";

const SHELL = /const SHELL = \[[^\]]*\];/;
const COPIES = /const COPIES = \{\};/;

/** Files in the list of the source. @param {string} source of the service worker */
export const listed = (source) =>
  [...(SHELL.exec(source)?.[0] ?? "").matchAll(/"([^"]+)"/g)].map(([, file]) => file);

/**
 * @param {string} source of the service worker
 * @param {string[]} files that the page loads by itself, relative to it
 * @param {Record<string, string>} copies compressed copies, by the name of the plain file
 */
export async function serviceWorker(source, files, copies) {
  for (const part of [SHELL, COPIES]) {
    if (!part.test(source)) throw new Error(`sw.js has no line ${part.source}`);
  }
  const filled = source
    .replace(SHELL, () => `const SHELL = ${JSON.stringify(files)};`)
    .replace(COPIES, () => `const COPIES = ${JSON.stringify(copies)};`);
  const { code } = await transform(filled, { minify: true, charset: "utf8", target: "es2022" });
  return code;
}
