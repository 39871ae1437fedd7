// @ts-check
/** Group "Without guidance": normalized attention guidance. */
import { strings } from "../strings/index.js";
import { ADVANCED_DEFAULTS } from "./advanced-settings.js";
import { amount } from "./panel-fields.js";

/** Chen et al., "Normalized Attention Guidance". */
const PAPER = "https://arxiv.org/abs/2505.21179";

/** @type {import("./group.js").Panel} */
export const nagPanel = {
  template() {
    const t = strings().guidance.nag;
    const source = `<a href="${PAPER}" target="_blank" rel="noopener">${t.source}</a>`;
    return `
    <p class="about">${t.about} (${source})</p>
    ${amount("nag_scale", t.scale, t.aboutScale, { step: 0.5, most: 20 })}
    ${amount("nag_tau", t.tau, "", { step: 0.5, most: 10 })}
    ${amount("nag_alpha", t.alpha, "", { step: 0.05 })}`;
  },

  summary({ settings }) {
    const t = strings().guidance.nag;
    const { nag_scale, nag_tau, nag_alpha } = settings;
    const texts = [t.summary(nag_scale)];
    if (nag_tau !== ADVANCED_DEFAULTS.nag_tau) texts.push(`tau ${nag_tau}`);
    if (nag_alpha !== ADVANCED_DEFAULTS.nag_alpha) texts.push(`alpha ${nag_alpha}`);
    return texts.join(", ");
  },
};
