// @ts-check
/** A reporter for Node's test runner: the paths of the files with a failed test, one a line. */

/** @param {AsyncIterable<{type: string, data: {file?: string}}>} events */
export default async function* failedFiles(events) {
  const files = new Set();
  for await (const { type, data } of events)
    if (type === "test:fail" && data.file) files.add(data.file);
  for (const file of files) yield `${file}\n`;
}
