// @ts-check
/** Group "Negative prompt": its strength, its steps, and the other steps. */
import { strings } from "../strings/index.js";
import { chartTemplate, drawChart } from "./guidance-chart.js";
import {
  amount,
  choice,
  listenToWindows,
  showAbout,
  showWindow,
  windowField,
} from "./panel-fields.js";

/** Ban et al., "Understanding the Impact of Negative Prompts". */
const FINDING = "https://arxiv.org/abs/2406.02965";

/** @type {import("./group.js").Panel} */
export const negativePanel = {
  template() {
    const t = strings().guidance.negative;
    const source = `<a href="${FINDING}" target="_blank" rel="noopener">${t.source}</a>`;
    return `
    ${amount("negative_strength", t.strength, t.aboutStrength, { step: 0.05 })}
    ${chartTemplate()}
    ${windowField("negative", t.window, `${t.aboutWindow} (${source}).`)}
    ${choice("negative_outside", t.outside, t.outsides)}`;
  },

  attach: listenToWindows,

  render(body, { settings }) {
    const { aboutOutside } = strings().guidance.negative;
    showWindow(body, "negative", settings);
    const outside = settings.negative_outside === "none" ? "none" : "empty";
    showAbout(body, "negative-outside", aboutOutside[outside]);
    drawChart(body, settings);
  },

  summary({ settings }) {
    const t = strings().guidance;
    const { negative_strength, negative_start, negative_end, negative_outside } = settings;
    const texts = [];
    if (negative_strength !== "1") texts.push(t.strength(negative_strength));
    if (negative_start !== "0" || negative_end !== "1")
      texts.push(t.steps(Number(negative_start), Number(negative_end)));
    if (negative_outside !== "empty") texts.push(t.negative.halfWork);
    return texts.join(", ");
  },
};
