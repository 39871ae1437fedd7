// @ts-check
/** Small picture of the guidance over the steps, with the steps of the negative prompt below. */
import { setHtml } from "../base/trusted.js";
import { strings } from "../strings/index.js";
import { planOf, rangeOf } from "./guidance-plan.js";

/** @typedef {import("./guidance-plan.js").Plan} Plan */

const WIDTH = 240;
const HEIGHT = 48;
/** Height of the band that shows the negative prompt. */
const BAND = 6;

/** An empty place for the chart. */
export const chartTemplate = () => '<div class="guidance-chart" role="img" data-chart></div>';

/**
 * Draws the chart in each of its places.
 * @param {ParentNode} root
 * @param {import("./settings.js").Settings} settings
 */
export function drawChart(root, settings) {
  const plan = planOf(settings);
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (
    root.querySelectorAll("[data-chart]")
  )) {
    place.hidden = plan === null;
    if (!plan) continue;
    place.ariaLabel = chartText(plan);
    setHtml(place, svgOf(plan));
  }
}

/** The chart in words. @param {Plan} plan */
export function chartText({ scales, negative, mayEnd }) {
  const t = strings().guidance.chart;
  const steps = scales.length;
  const guided = rangeOf(steps, (at) => scales[at] !== null);
  if (!guided) return t.none(steps);
  const values = scales.filter((scale) => scale !== null);
  const texts = [t.scale(Math.min(...values), Math.max(...values), guided.first, guided.last)];
  const acts = rangeOf(steps, (at) => negative[at]);
  texts.push(acts ? t.negative(acts.first, acts.last) : t.noNegative);
  if (mayEnd) texts.push(t.mayEnd);
  return texts.join(" ");
}

/** @param {Plan} plan */
function svgOf({ scales, negative }) {
  const steps = scales.length;
  const top = Math.max(1.5, ...scales.map((scale) => scale ?? 1));
  const room = HEIGHT - BAND - 4;
  const x = (/** @type {number} */ at) => round((at / steps) * WIDTH);
  // Without guidance the prompt's prediction counts once.
  const y = (/** @type {number | null} */ scale) => round(2 + room * (1 - (scale ?? 1) / top));
  const line = scales.map((scale, at) => `V${y(scale)}H${x(at + 1)}`).join("");
  const acts = negative.map((on, at) =>
    on ? `M${x(at)} ${HEIGHT - BAND}H${x(at + 1)}V${HEIGHT}H${x(at)}Z` : "",
  );
  return `
  <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    <path class="area" d="M0 ${room + 2}${line}V${room + 2}Z"/>
    <path class="line" d="M0 ${y(scales[0])}${line}"/>
    <path class="band" d="M0 ${HEIGHT - BAND}H${WIDTH}V${HEIGHT}H0Z"/>
    <path class="acts" d="${acts.join("")}"/>
  </svg>`;
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;
