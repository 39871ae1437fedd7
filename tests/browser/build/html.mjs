// @ts-check
/** Rewrites an HTML page: bundles in place of sources, preloads, and the form before any script. */

/** Links to what the bundles contain, each with its line. */
const STYLE = /^[ \t]*<link rel="stylesheet" href="([^":]+)">\n/gm;
const PRELOAD = /^[ \t]*<link rel="(?:module)?preload"[^>]*>\n/gm;
const SCRIPT = /^([ \t]*)<script type="module" src="([^":]+)"><\/script>\n/gm;
const ELEMENT = /<darkroom-studio\b[^>]*>/;

/**
 * The style sheets and scripts of a page, relative to www/.
 * @param {string} html
 */
export const sourcesOf = (html) => ({
  styles: [...html.matchAll(STYLE)].map(([, file]) => file),
  scripts: [...html.matchAll(SCRIPT)].map(([, , file]) => file),
});

/**
 * @typedef {object} Parts
 * @property {string} style address of the page's style sheet
 * @property {Map<string, string>} scripts addresses of bundles, by source
 * @property {string} studioStyle address of the style sheet in the shadow root
 * @property {string} form contents of the shadow root
 */

/**
 * @param {string} html
 * @param {Parts} parts
 */
export function rewrite(html, { style, scripts, studioStyle, form }) {
  const hasStudio = ELEMENT.test(html);
  // No hint for the worker: a worker takes no preloaded file, so that it would be asked for twice.
  const hints = hasStudio ? [`<link rel="preload" href="${studioStyle}" as="style">`] : [];
  let isFirst = true;
  const page = html
    .replace(PRELOAD, "")
    .replace(STYLE, () => {
      const line = isFirst ? `    <link rel="stylesheet" href="${style}">\n` : "";
      isFirst = false;
      return line;
    })
    .replace(SCRIPT, (_, indent, source) => {
      const address = scripts.get(source);
      if (!address) throw new Error(`the page’s script ${source} was not bundled`);
      const script = `<script type="module" src="${address}"></script>`;
      return [script, ...hints].map((line) => `${indent}${line}\n`).join("");
    });
  if (!hasStudio) return page;
  const root = `<template shadowrootmode="open"><link rel="stylesheet" href="${studioStyle}">`;
  // The element renders its form again for visitors of another language.
  const english = form.trim().replace('<form class="studio"', '$& lang="en"');
  if (english === form.trim()) throw new Error("the studio’s template has no form");
  // The page's style sheet lays out what is in the element otherwise.
  const marked = (/** @type {string} */ tag) => tag.replace(/>$/, " data-prerendered>");
  return page.replace(ELEMENT, (tag) => `${marked(tag)}${root}${english}</template>`);
}

/** The picture of a page in previews of links to it. */
const PREVIEW = /(<meta (?:property="og|name="twitter):image" content=")([^":]+)"/g;

/**
 * The page with its own address, and with that of its picture for previews.
 * @param {string} html
 * @param {string} name of its file
 * @param {string} [address] of the folder; without it nothing changes
 */
export function absolute(html, name, address) {
  if (!address) return html;
  const own = name === "index.html" ? address : new URL(name, address).href;
  const lines = [
    `    <link rel="canonical" href="${own}">`,
    `    <meta property="og:url" content="${own}">`,
  ];
  return html
    .replace(PREVIEW, (_, tag, file) => `${tag}${new URL(file, address).href}"`)
    .replace("  </head>", () => `${lines.join("\n")}\n  </head>`);
}

/**
 * Files of the page that HTML refers to, relative to it, without links that a visitor follows.
 * @param {string} html
 */
export function filesOf(html) {
  const outside = html.replaceAll(
    /<a\b[^>]*>|<meta\b[^>]*>|<link rel="(?:manifest|apple)[^>]*>/g,
    "",
  );
  const addresses = [
    ...[...outside.matchAll(/\b(?:src|href)="([^"#:?]+)"/g)].map(([, address]) => address),
    ...[...outside.matchAll(/\bsrcset="([^"]+)"/g)].flatMap(([, set]) =>
      set.split(",").map((part) => part.trim().split(/\s+/)[0]),
    ),
  ];
  return [...new Set(addresses)];
}
