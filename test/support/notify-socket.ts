/**
 * A datagram socket as an init system's: Node has none, a few lines of Python do.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";

const SCRIPT = `
import json, socket, sys
name = sys.argv[1]
inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inbox.bind("\\0" + name[1:] if name.startswith("@") else name)
print(json.dumps("bound"), flush=True)
while True:
    print(json.dumps(inbox.recv(65536).decode()), flush=True)
`;

/** What the tests with such a socket miss on this machine; undefined when it has all. */
export function missingForNotify(): string | undefined {
  const has = (command: string): boolean =>
    spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
  const missing = ["systemd-notify", "python3"].filter((command) => !has(command));
  return missing.length === 0 ? undefined : `this machine has no ${missing.join(" and no ")}`;
}

/** A bound socket and what came to it. */
export class NotifySocket {
  /** Messages in their order, without those that only wait for the others to be taken. */
  readonly messages: string[] = [];
  readonly #child: ChildProcess;
  readonly #bound: Promise<void>;
  #heard = (): void => undefined;

  /** @param name - a path, or an abstract name that begins with "@" */
  constructor(name: string) {
    const child = spawn("python3", ["-c", SCRIPT, name], { stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    this.#bound = new Promise((resolve) => {
      createInterface(child.stdout).on("line", (line) => {
        const text: unknown = JSON.parse(line);
        if (text === "bound") return resolve();
        if (typeof text === "string" && text !== "BARRIER=1") this.messages.push(text);
        this.#heard();
      });
    });
  }

  bound(): Promise<void> {
    return this.#bound;
  }

  /** Resolves with the first message that has this in it. */
  async message(part: string): Promise<string> {
    for (;;) {
      const found = this.messages.find((message) => message.includes(part));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#heard = resolve));
    }
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
  }
}
