// The column of Node.js: node.mjs GUEST FOLDER ARGUMENTS...
import { readFile } from "node:fs/promises";
import { openSync } from "node:fs";
import { WASI } from "node:wasi";

const [guest, folder, ...args] = process.argv.slice(2);
const stderr = openSync("/dev/null", "w");
const preopens = { "/bench": folder };
const wasi = new WASI({ version: "preview1", args: ["bench", ...args], env: { NAME: "value" }, preopens, stderr });
const { instance } = await WebAssembly.instantiate(await readFile(guest), wasi.getImportObject());
process.exitCode = wasi.start(instance);
