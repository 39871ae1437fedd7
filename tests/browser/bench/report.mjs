// @ts-check
/** Figures, and tables of them that can be read in a terminal and pasted into a Markdown file. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem, type } from "node:os";

/** @typedef {{median: number, min: number, max: number, all: number[]}} Times seconds */

/** @param {number[]} all seconds @returns {Times} */
export function times(all) {
  if (all.length === 0) throw new Error("nothing was timed");
  const sorted = all.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1], all };
}

/** @param {number} seconds three digits, in the unit that fits */
export function time(seconds) {
  if (seconds < 1) return `${(seconds * 1000).toPrecision(3)} ms`;
  return `${seconds < 100 ? seconds.toPrecision(3) : seconds.toFixed(0)} s`;
}

/** @param {Times} times the median, and between what the rest lay */
export const spread = ({ median, min, max }) => `${time(median)} (${time(min)} to ${time(max)})`;

/** @param {number} bytes */
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;

/**
 * How many times faster `ours` is than `theirs`; by medians, and by minima, which other work on the machine disturbs least.
 * @param {Times} ours
 * @param {Times} theirs
 */
export function ratio(ours, theirs) {
  return { by_median: theirs.median / ours.median, by_min: theirs.min / ours.min };
}

/** @param {{by_median: number, by_min: number}} ratio */
export const ratioText = ({ by_median, by_min }) =>
  `${by_median.toFixed(2)}× (minima: ${by_min.toFixed(2)}×)`;

/**
 * A Markdown table, its columns aligned.
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function table(head, rows) {
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at].length)));
  /** @param {string[]} row */
  const line = (row) => `| ${row.map((cell, at) => cell.padEnd(widths[at])).join(" | ")} |`;
  return [
    line(head),
    `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`,
    ...rows.map(line),
  ].join("\n");
}

/** What the figures were taken on, and what else it was doing. */
export function machine() {
  const quiet = {
    encoding: /** @type {const} */ ("utf8"),
    stdio: /** @type {["ignore", "pipe", "ignore"]} */ (["ignore", "pipe", "ignore"]),
  };
  /** @param {string} program @param {string[]} words */
  const ask = (program, ...words) => {
    try {
      return execFileSync(program, words, quiet).trim();
    } catch {
      return null;
    }
  };
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memory_bytes: totalmem(),
    system: type(),
    node: process.version,
    commit: ask("git", "describe", "--always", "--dirty", "--exclude=*"),
    date: new Date().toISOString(),
    load: loadavg()[0],
  };
}
