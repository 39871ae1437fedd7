// @ts-check
/** Download of a file as a whole, for what is added to a model: such files are kept as they are. */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { isMissing, sizeOf } from "./fetch.js";

/** Attempts in a row that may bring no byte. */
const ATTEMPTS = 3;

/** The name of the file at an address. @param {string} url @param {Response} response */
function nameOf(url, response) {
  const disposition = response.headers.get("content-disposition") ?? "";
  const [, stated] = /filename="?([^";]+)"?/i.exec(disposition) ?? [];
  const { pathname } = new URL(url);
  const name = stated ?? pathname.slice(pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(name) || "file";
  } catch {
    return name;
  }
}

/**
 * Downloads a file. A download that breaks goes on at its last byte where the server has ranges.
 * @param {string} url
 * @param {(name: string, percent: number) => void} progress
 * @returns {Promise<File>}
 */
export async function fetchFile(url, progress) {
  /** @type {Blob[]} */
  let parts = [];
  let done = 0;
  let name = "";
  const t = strings().additions;
  for (let failures = 0; ; ) {
    const before = done;
    try {
      const headers = done > 0 ? { range: `bytes=${done}-` } : undefined;
      const response = await fetch(url, { headers, cache: "no-store" });
      if (!response.ok || isMissing(response) || !response.body) {
        const status = `${response.status} ${response.statusText}`.trimEnd();
        throw new DarkroomError("network", t.fetchFailed(url, t.answered(status)));
      }
      if (response.status !== 206) [parts, done] = [[], 0];
      name ||= nameOf(response.url || url, response);
      const total = response.status === 206 ? 0 : (sizeOf(response) ?? 0);
      const reader = response.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        parts.push(new Blob([part.value]));
        done += part.value.length;
        if (total) progress(name, Math.floor((100 * done) / total));
      }
      return new File(parts, name);
    } catch (error) {
      if (error instanceof DarkroomError) throw error;
      failures = done > before ? 1 : failures + 1;
      if (failures >= ATTEMPTS)
        throw new DarkroomError("network", t.fetchFailed(url, t.unreachable));
    }
  }
}
