// Runs a program built for wasm32-unknown-unknown, which imports nothing:
//
//     node run.mjs PROGRAM.wasm
//
// A panic there is a trap, thrown here: the names on its trace tell which check failed.
import { readFileSync } from "node:fs";

Error.stackTraceLimit = 64;
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]));
const code = instance.exports.main(0, 0);
console.log(code === 0 ? "every check passed" : `the program ended with ${code}`);
process.exit(code);
