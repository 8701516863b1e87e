/**
 * Child processes of this machine.
 *
 * A child gets one end of a socket pair as its descriptor 3, and the number in its environment. This process holds the
 * other end and never writes: the kernel closes it with the process, also after SIGKILL, and the child reads the end.
 * Nobody else holds it, because Node opens every descriptor close-on-exec.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import type { Child, ChildEnd, Children } from "./children.ts";
import { ownProgram, type OwnProgram } from "./own-program.ts";
import { LIFELINE_VARIABLE } from "./real-lifeline.ts";

const LIFELINE_FD = 3;

/** Children that run this program; another one is for tests. */
export function realChildren(program: OwnProgram = ownProgram()): Children {
  return { startSelf: (args) => start(program, args) };
}

function start(program: OwnProgram, args: readonly string[]): Child {
  const child = spawn(program.command, [...program.arguments, ...args], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, [LIFELINE_VARIABLE]: String(LIFELINE_FD) },
  });
  // The line breaks with the child; nothing is ever sent on it.
  child.stdio[LIFELINE_FD]?.on("error", () => undefined);
  const ended = new Promise<ChildEnd>((resolve) => {
    child.once("error", (cause) => {
      // Also what a signal to it may say, which changes nothing.
      if (child.pid === undefined) resolve({ kind: "not-started", cause });
    });
    child.once("exit", (code, signal) =>
      resolve(signal === null ? { kind: "exited", code: code ?? 1 } : killed(signal)),
    );
  });
  return { ended, signal: (signal) => void child.kill(signal) };
}

function killed(signal: NodeJS.Signals): ChildEnd {
  return { kind: "killed", signal, number: constants.signals[signal] };
}
