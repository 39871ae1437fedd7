// @ts-check
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/**
 * @typedef {object} Server
 * @property {string} address ends with a slash
 * @property {() => Promise<void>} close
 */

/**
 * Starts the project's own server on a free port. It serves what is already built.
 *
 * @param {object} [options]
 * @param {string} [options.root] folder to serve in place of www/; its parent directory is this one
 * @param {string[]} [options.hosts] names to answer to, besides this machine's own
 * @returns {Promise<Server>}
 */
export async function startServer({ root, hosts = [] } = {}) {
  // `cargo xtask test` names its own program. Without it, cargo finds the program.
  const own = process.env.DARKROOM_XTASK;
  const command = own ? [own] : ["cargo", "xtask"];
  command.push("serve", "--no-build", "--port", "0", "--stop-at-eof");
  if (root) command.push("--root", root);
  for (const host of hosts) command.push("--allow-host", host);
  // The server ends when its standard input closes, also when this process is killed.
  const child = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const address = await new Promise((resolve, reject) => {
    child.once("error", reject);
    void ended.then((code) =>
      reject(new Error(`${command.join(" ")} ended with ${code} before it served anything`)),
    );
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /^Darkroom is at (\S+)/.exec(line);
      if (match) resolve(match[1]);
    });
  });
  return {
    address,
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}
