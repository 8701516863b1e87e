#!/usr/bin/env node
/**
 * The program `holdfast`.
 */
import { fail, runProgram } from "./program.ts";
import { processTerminal } from "./terminal.ts";

const terminal = processTerminal();
const args = process.argv.slice(2);
// What no unit can be blamed for ends the process: nothing that was acknowledged is lost, the next
// start replays.
process.on("uncaughtException", (error) => process.exit(fail(error, args, terminal)));
// A module of the user's may have left a timer or a socket open: a command that is done ends all
// the same.
process.exit(await runProgram(args, terminal));
