// @ts-check
/** English texts. */
import { additions } from "./additions.js";
import { gallery } from "./gallery.js";
import { guidance } from "./guidance.js";
import { infotext } from "./infotext.js";
import { library } from "./library.js";
import { models } from "./models.js";
import { noise } from "./noise.js";
import { page } from "./page.js";
import { problems } from "./problems.js";
import { stage } from "./stage.js";
import { studio } from "./studio.js";

export const en = {
  additions,
  gallery,
  guidance,
  infotext,
  library,
  models,
  noise,
  page,
  problems,
  stage,
  studio,
};
