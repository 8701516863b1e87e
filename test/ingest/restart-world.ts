/** Four receivers under one supervisor on a virtual clock, over a log that a test fills, fails and opens again. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { DeadLetter, DeadLetterStore } from "../../src/contract/dead-letters.ts";
import type { Emit } from "../../src/contract/events.ts";
import type { Log } from "../../src/contract/log.ts";
import type { Receiver } from "../../src/contract/receiver.ts";
import type {
  Decider,
  Directive,
  Supervisor,
  UnitContext,
  UnitRef,
} from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";
import { realHost } from "../../src/host/real-host.ts";
import type { Listener, Sockets } from "../../src/host/sockets.ts";
import { Intake } from "../../src/intake.ts";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { createSupervisor } from "../../supervisors/index.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { silentLogger } from "../support/logger.ts";
import { type MemoryPeer, MemorySockets } from "../support/memory-network.ts";
import { PacedLog } from "../support/paced-log.ts";
import { strategy } from "../support/supervised.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { counted, none, POISON, Pull, Push } from "./restart-receivers.ts";

export type Name = "none" | "counted" | "push" | "pull";
export const PEERS = 2;

/** What an error says is what is decided. */
const decide: Decider = ({ message }) =>
  (["resume", "stop", "escalate"] as const).find((each) => message.includes(each)) ?? "restart";

/** A connection of a test to one of the two. */
interface Line {
  readonly name: "none" | "counted";
  readonly peer: MemoryPeer;
  readonly number: number;
  sentCount: number;
  /** The beginning of a message was sent, and not its end. */
  isInside: boolean;
}

export class RestartWorld {
  readonly clock: VirtualClock = new VirtualClock();
  readonly push: Push = new Push();
  readonly pull: Pull = new Pull();
  readonly letters: DeadLetter[] = [];
  readonly log: PacedLog;
  readonly intakes: ReadonlyMap<Name, Intake>;
  readonly units: ReadonlyMap<Name, UnitRef>;
  readonly contexts: Map<Name, UnitContext> = new Map();
  readonly #root: Supervisor;
  readonly #network = new MemorySockets();
  readonly #lines: Line[] = [];
  /** Dropped records as events told them. */
  readonly #told = new Map<string, number>();
  /** What the next listens come to. */
  readonly #listens: ("refused" | "hangs")[] = [];
  refusesLetters: boolean = false;
  #pushCount = 0;

  constructor(maxRestarts: number) {
    this.log = new PacedLog({
      clock: this.clock,
      writeMs: 5,
      pressureBytes: 60,
      storeTimeoutMs: 10_000,
      pressure: (isFull) => {
        for (const intake of this.intakes.values())
          if (isFull) intake.pause("log");
          else intake.resume("log");
      },
    });
    const receivers: readonly Receiver<Name>[] = [
      none,
      counted,
      this.push.receiver,
      this.pull.receiver,
    ];
    this.intakes = new Map(receivers.map((receiver) => [receiver.name, this.#intake(receiver)]));
    this.#root = createSupervisor({
      name: "restarts",
      strategy: strategy({ maxRestarts, decide }),
      clock: this.clock,
      random: createSeededRandom(1),
      shells: inlineShells,
    });
    this.pull.onOpen = (position) => this.#checkResumed(position);
    this.units = new Map(
      Array.from(this.intakes, ([name, intake]) => [name, this.#start(name, intake)]),
    );
  }

  // What happens

  /** Messages of a connection, the last of them perhaps without its end. */
  send(name: "none" | "counted", slot: number, count: number, hasTail: boolean): void {
    const line = this.#line(name, slot);
    if (line === undefined) return;
    const texts = Array.from({ length: count }, () => this.#next(line));
    const begun = hasTail ? this.#next(line) : "";
    line.peer.send(`${texts.map((text) => `${text}\n`).join("")}${begun}`);
    line.isInside = hasTail;
  }

  poison(name: "none" | "counted", slot: number, directive: Directive): void {
    const line = this.#line(name, slot);
    if (line === undefined) return;
    line.peer.send(`${POISON}${directive}-${this.#next(line)}\n`);
    line.isInside = false;
  }

  bye(name: "none" | "counted", slot: number, isOrderly: boolean): void {
    const line = this.#lines.findLast((each) => each.name === name && each.number % PEERS === slot);
    if (isOrderly) line?.peer.end();
    else line?.peer.reset(new Error("cable"));
  }

  /** `prefix` makes it poisonous. */
  give(count: number, prefix = ""): void {
    for (let i = 0; i < count; i++) this.push.deliver(`${prefix}push ${this.#pushCount++}`);
  }

  /** To the list that is pulled. */
  add(count: number): void {
    this.pull.add(Array.from({ length: count }, (_, i) => `${this.pull.source.length + i}`));
  }

  fail(name: Name, directive: Directive): void {
    this.contexts.get(name)?.fail(new Error(`${directive}, says the test`));
  }

  nextListen(how: "refused" | "hangs"): void {
    this.#listens.push(how);
  }

  /** Room, letters, and time for everything; then the end. */
  async finish(): Promise<void> {
    await this.clock.advance(0);
    const stopped = this.#root.stop();
    await this.clock.advance(60_000);
    this.log.close();
    await stopped;
    await this.clock.advance(60_000);
    for (const intake of this.intakes.values()) intake.close();
  }

  // What must hold

  /** At any time: no count covers what is not stored. */
  checkCounts(): void {
    const stored = new Set(this.#stored("counted"));
    for (const { name, peer } of this.#lines) {
      if (name !== "counted") continue;
      const told = Number(peer.text.trimEnd().split("\n").at(-1));
      const covered = read(peer).slice(0, told);
      equal(covered.length, told, "more messages were counted than read");
      deepEqual(
        covered.filter((text) => !stored.has(text)),
        [],
        "counted, and not stored",
      );
    }
  }

  checkEnd(): void {
    this.checkCounts();
    for (const name of this.intakes.keys()) this.#checkEpochs(name);
    deepEqual(this.#stored("pull"), this.pull.source.slice(0, this.#stored("pull").length));
    for (const { name, peer } of this.#lines) {
      ok(peer.connection.isClosed, `a connection of ${name} is open`);
      const stored = this.#stored(name).filter((text) => belongsTo(text, peer));
      deepEqual(
        stored,
        read(peer).filter((text) => stored.includes(text)),
        "order, or twice",
      );
    }
    const noneRead = this.#lines.flatMap(({ name, peer }) => (name === "none" ? read(peer) : []));
    this.#checkNamed("none", noneRead);
    this.#checkNamed("push", this.push.read);
    equal(this.clock.timerCount, 0, "timers are left");
  }

  /** Nothing was lost, and nothing but beginnings without an end was set aside. */
  checkAllStored(): void {
    deepEqual(
      this.letters.filter(({ stage }) => stage !== "framing"),
      [],
    );
    for (const name of this.intakes.keys()) equal(this.#dropped(name), 0, `${name}: dropped`);
  }

  /** Whatever was read is stored once, or set aside, or counted. */
  #checkNamed(name: Name, texts: readonly string[]): void {
    const stored = this.#stored(name);
    equal(new Set(stored).size, stored.length, `${name}: stored twice`);
    const kept = this.letters
      .filter(({ unit }) => unit === name)
      .flatMap(({ bytes }) => Buffer.from(bytes).toString().split("\n"));
    const known = new Set([...stored, ...kept]);
    const missing = texts.filter((text) => !known.has(text));
    const dropped = this.#dropped(name);
    ok(missing.length <= dropped, `${name}: ${missing.length} missing, ${dropped} counted`);
    equal(dropped, this.#told.get(name) ?? 0, `${name}: counts and events differ`);
    deepEqual(
      stored.filter((text) => kept.includes(text)),
      [],
      `${name}: stored and set aside`,
    );
  }

  #checkEpochs(name: string): void {
    const epochs = this.log.durable.flatMap((block) =>
      block.receiver === name ? block.epoch : [],
    );
    deepEqual(
      epochs,
      epochs.toSorted((a, b) => a - b),
      `${name}: epochs interleave`,
    );
  }

  /** Nothing of the epoch before can come any more, and the position is that of its last block. */
  #checkResumed(position: number): void {
    equal(this.log.pendingOf("pull"), 0, "opened while blocks of the old epoch are in flight");
    equal(position, this.#stored("pull").length, "the position is not that of the last block");
  }

  #stored(name: string): readonly string[] {
    return this.log.durable.flatMap(({ receiver, texts }) => (receiver === name ? texts : []));
  }

  #dropped(name: Name): number {
    const counts = this.intakes.get(name)?.status().dropped.values() ?? [];
    return [...counts].reduce((sum, count) => sum + count, 0);
  }

  // How it is made

  #next(line: Line): string {
    // The end of a message that was begun has its number already.
    if (line.isInside) {
      line.isInside = false;
      return "";
    }
    return `${line.peer.connection.peer} ${line.sentCount++}`;
  }

  #line(name: "none" | "counted", slot: number): Line | undefined {
    const known = this.#lines.findLast(
      (each) => each.name === name && each.number % PEERS === slot,
    );
    if (known !== undefined && !known.peer.connection.isClosed && !known.peer.isEnded) return known;
    try {
      const port = name === "none" ? 4_000 : 4_001;
      const line = {
        name,
        peer: this.#network.dial(port),
        number: slot,
        sentCount: 0,
        isInside: false,
      };
      this.#lines.push(line);
      return line;
    } catch {
      // Nobody listens now.
      return undefined;
    }
  }

  #start(name: Name, intake: Intake): UnitRef {
    const definition = intake.definition();
    const unit = this.#root.start({
      ...definition,
      open: (context) => {
        this.contexts.set(name, context);
        return definition.open(context);
      },
    });
    unit.started.catch(() => undefined);
    return unit;
  }

  #intake(receiver: Receiver<Name>): Intake {
    const host = {
      ...realHost(),
      clock: this.clock,
      random: createSeededRandom(2),
      sockets: this.#sockets(),
    };
    return new Intake({
      receiver,
      host,
      // Decode boundary: an intake uses no more of a log than this.
      log: this.log as unknown as Log,
      deadLetters: this.#letterStore(),
      logger: silentLogger,
      emit: this.#emit,
      appended: () => undefined,
    });
  }

  readonly #emit: Emit = (kind, event) => {
    if (kind !== "receiver-dropped" || !("recordCount" in event) || !("receiver" in event)) return;
    const { receiver, recordCount } = event;
    this.#told.set(receiver, (this.#told.get(receiver) ?? 0) + recordCount);
  };

  #letterStore(): DeadLetterStore {
    return {
      nextOffset: 0,
      keysFrom: () => Promise.resolve(new Set()),
      add: async (letters) => {
        if (this.refusesLetters) throw new HoldfastError("LOG_FULL", "no room for letters");
        this.letters.push(...letters);
      },
    };
  }

  #sockets(): Sockets {
    return {
      connect: (endpoint) => this.#network.connect(endpoint),
      listenStreams: () => this.#network.listenStreams(),
      connectStream: () => this.#network.connectStream(),
      listen: (options, onConnection) => {
        const how = this.#listens.shift();
        if (how === "hangs") return new Promise<Listener>(() => undefined);
        if (how === "refused")
          return Promise.reject(new HoldfastError("CONNECTION_FAILED", "restart, says the test"));
        return this.#network.listen(options, onConnection);
      },
    };
  }
}

/** The complete messages that were read of a connection. */
function read({ connection }: MemoryPeer): readonly string[] {
  return Buffer.concat(connection.read)
    .toString()
    .split("\n")
    .slice(0, -1)
    .filter((text) => text !== "");
}

function belongsTo(text: string, { connection }: MemoryPeer): boolean {
  return text.startsWith(`${connection.peer} `);
}
