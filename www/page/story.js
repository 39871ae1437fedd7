// @ts-check
/**
 * The figures of "How a negative prompt works", where scripts run: a slider on the strip of
 * guidance scales, a slider on the map of seeds, and pictures made on the visitor's machine. The
 * model is loaded at the first press, and not before.
 */

/** @typedef {import("../studio/darkroom.js").Darkroom} Darkroom */

const MODEL = "models/portraits";
const MAN = "Portrait photo of a man";
/** Bytes of engine and model, for the button's text. */
const DOWNLOAD = "25 MB";
const SCALES = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 9, 14];
/** Pictures in a row and in a column of the map's sprites. */
const [COLUMNS, ROWS] = [12, 8];

/**
 * @param {string} tag
 * @param {object} properties
 * @param {(Node | string)[]} children
 * @returns {any} the element
 */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** @param {string} selector @returns {HTMLElement | null} */
const find = (selector) => document.querySelector(selector);

/**
 * A labelled slider.
 * @param {string} name
 * @param {number} last largest value
 * @param {number} value
 * @param {(at: number) => string} show moves the figure, and returns the text of the value
 */
function slider(name, last, value, show) {
  const input = make("input", { type: "range", min: "0", max: String(last), step: "1" });
  input.value = String(value);
  const output = make("output");
  const move = () => {
    const text = show(Number(input.value));
    output.textContent = text;
    input.ariaValueText = text;
  };
  input.addEventListener("input", move);
  move();
  return { element: make("label", { className: "hand" }, name, input, output), input, move };
}

function scaleFigure() {
  const figure = find("[data-scale]");
  const strip = /** @type {HTMLElement | null} */ (figure?.querySelector(".strip"));
  if (!figure || !strip) return;
  strip.dataset.frames = String(SCALES.length);
  strip.style.setProperty("--frames", String(SCALES.length));
  const hand = slider("Guidance scale", SCALES.length - 1, SCALES.indexOf(3), (at) => {
    strip.style.setProperty("--frame", String(at));
    return String(SCALES[at]);
  });
  strip.after(hand.element);
}

/** @param {string} source @param {string} caption */
function thumb(source, caption) {
  const image = make("img", { src: source, alt: "" });
  const frame = make("div", { className: "thumb" }, image);
  const show = (/** @type {number} */ seed) => {
    const [x, y] = [seed % COLUMNS, Math.floor(seed / COLUMNS)];
    image.style.transform = `translate(${(-100 / COLUMNS) * x}%, ${(-100 / ROWS) * y}%)`;
  };
  return { element: make("figure", {}, frame, caption), show };
}

function mapFigure() {
  const figure = find("[data-map]");
  const map = figure?.querySelector("svg");
  if (!figure || !map) return;
  const points = [...map.querySelectorAll("[data-seed]")];
  const plain = thumb("story/map-plain.webp", "without");
  const guided = thumb("story/map-negative.webp", "negative prompt: mustache");
  const hand = slider("Seed", points.length - 1, 14, (at) => {
    for (const [i, point] of points.entries()) point.setAttribute("aria-current", String(i === at));
    // The chosen line is drawn above the others.
    points[at].parentNode?.append(points[at]);
    plain.show(at);
    guided.show(at);
    return String(at);
  });
  for (const [seed, point] of points.entries())
    point.addEventListener("pointerenter", () => {
      hand.input.value = String(seed);
      hand.move();
    });
  const seen = make("div", { className: "seen" }, plain.element, guided.element);
  map.after(hand.element, seen);
}

/** Makes the pair of a seed on the visitor's machine. */
function liveFigure() {
  const place = find("[data-live=pair]");
  if (!place) return;
  const seed = make("input", { type: "number", min: "0", max: "4294967295", value: "14" });
  const button = make("button", { type: "button", textContent: "Draw both on my machine" });
  const status = make("p", { role: "status" });
  status.textContent = `The first time, ${DOWNLOAD} are loaded.`;
  const figures = ["without", "negative prompt: mustache"].map((name) => {
    const canvas = make("canvas", { width: 128, height: 128 });
    canvas.role = "img";
    canvas.ariaLabel = `Portrait, ${name}`;
    return { canvas, element: make("figure", {}, canvas, make("figcaption", {}, name)) };
  });
  const pictures = make("div", { className: "pictures", hidden: true });
  pictures.append(...figures.map(({ element }) => element));
  const label = make("label", {}, "Seed ", seed);
  place.append(make("div", { className: "row" }, label, button), status, pictures);
  place.hidden = false;

  const say = (/** @type {string} */ text) => {
    status.textContent = text;
  };
  const run = async () => {
    button.disabled = true;
    try {
      await drawPair(seed.value, figures, pictures, say);
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    } finally {
      button.disabled = false;
    }
  };
  button.addEventListener("click", () => void run());
}

/** @type {Promise<Darkroom> | null} */
let opening = null;

/** @param {(text: string) => void} say */
function darkroom(say) {
  opening ??= import("../api.js").then(({ createDarkroom }) =>
    createDarkroom({
      model: MODEL,
      onProgress: (progress) => {
        if (progress.stage !== "weights" && progress.stage !== "engine") return;
        const megabytes = (progress.done / 1e6).toFixed(1);
        say(`Loading the ${progress.stage === "engine" ? "engine" : "model"}: ${megabytes} MB`);
      },
    }),
  );
  opening.catch(() => {
    opening = null;
  });
  return opening;
}

/**
 * @param {string} seed
 * @param {{canvas: HTMLCanvasElement}[]} figures
 * @param {HTMLElement} pictures
 * @param {(text: string) => void} say
 */
async function drawPair(seed, figures, pictures, say) {
  say("Loading …");
  const engine = await darkroom(say);
  pictures.hidden = false;
  for (const [i, negativePrompt] of ["", "mustache"].entries()) {
    const { bitmap } = await engine.generate({
      prompt: MAN,
      negativePrompt,
      seed,
      guidanceScale: 3,
      onStep: ({ call, calls }) => say(`Picture ${i + 1} of 2, step ${call} of ${calls}`),
    });
    const { canvas } = figures[i];
    Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    bitmap.close();
  }
  say(`Seed ${seed}: without, and with the negative prompt “mustache”. Nothing was sent.`);
}

scaleFigure();
mapFigure();
liveFigure();
