// @ts-check
/** Something that is timed: a worker in a page of its own, driven from Node. */

/** @typedef {import("playwright-core").Browser} Browser */

/** Software GPUs compile for minutes and still get there. */
const PATIENCE_MS = 300_000;

export class Contender {
  /** Console errors: what a panic or a browser has to say. @type {string[]} */
  errors = [];
  #page;
  #worker;

  /**
   * @param {string} name
   * @param {import("playwright-core").Page} page
   * @param {import("playwright-core").JSHandle<Worker>} worker
   */
  constructor(name, page, worker) {
    this.name = name;
    this.#page = page;
    this.#worker = worker;
    page.on("console", (message) => message.type() === "error" && this.errors.push(message.text()));
  }

  /**
   * @param {string} name
   * @param {Browser} browser
   * @param {string} address of the folder that holds `bench/`, ends with a slash
   * @param {string} script in `bench/`
   */
  static async start(name, browser, address, script) {
    const page = await (await browser.newContext()).newPage();
    // Any document of the same origin will do.
    await page.goto(`${address}bench/requirements.txt`);
    const worker = await page.evaluateHandle(
      (url) => new Worker(url, { type: "module" }),
      `${address}bench/${script}`,
    );
    return new Contender(name, page, worker);
  }

  /**
   * Has the worker do something, and waits for it.
   * @param {string} act
   * @param {unknown} [what]
   * @returns {Promise<any>}
   */
  async call(act, what) {
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`no answer within ${PATIENCE_MS / 1000} s`)),
        PATIENCE_MS,
      );
    });
    const answer = this.#page.evaluate(
      ({ worker, act, what }) =>
        new Promise((resolve, reject) => {
          worker.onmessage = ({ data }) =>
            "error" in data ? reject(new Error(data.error)) : resolve(data.value);
          worker.onerror = (event) =>
            reject(new Error(event.message || "the worker's script does not load"));
          worker.postMessage({ act, what });
        }),
      { worker: this.#worker, act, what },
    );
    try {
      return await Promise.race([answer, late]);
    } catch (error) {
      const reason = error instanceof Error ? error.message.split("\n")[0] : error;
      throw new Error(
        [`${this.name}, ${act}: ${reason}`, ...this.errors.slice(0, 3)].join("\n  "),
        { cause: error },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  async end() {
    await this.#page.context().close();
  }
}

/**
 * Times contenders in turns, so that what else the machine does meets all of them alike.
 * @param {{name: string, time: () => Promise<number>}[]} contenders
 * @param {{warm: number, rounds: number}} how often each goes unmeasured first, and then measured
 * @returns {Promise<Map<string, number[]>>} seconds
 */
export async function interleaved(contenders, { warm, rounds }) {
  const times = new Map(contenders.map(({ name }) => [name, /** @type {number[]} */ ([])]));
  for (let round = -warm; round < rounds; round += 1) {
    for (const { name, time } of contenders) {
      const seconds = await time();
      if (round >= 0) times.get(name)?.push(seconds);
    }
  }
  return times;
}
