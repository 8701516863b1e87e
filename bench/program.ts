/**
 * The real program under a bench: its configuration, its start, its use of the machine, its end.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually, within } from "../test/support/deadline.ts";
import { freePorts } from "../test/support/free-port.ts";
import { type GatewayPlace, startedLine } from "../test/support/gateway-example.ts";
import { scrape } from "../test/support/metrics.ts";
import { programPath, RunningProgram } from "../test/support/running-program.ts";
import { type Usage, usageOf } from "./process-usage.ts";
import { removeTemporary, temporaryDirectory } from "./temporary.ts";

/** As `npm start` runs it: young objects get less room than Node gives them, which costs nothing here. */
const nodeFlags = ["--max-semi-space-size=4"];
const readyMs = 60_000;
const stopMs = 120_000;
const drainMs = 300_000;
const pollMs = 5;

const stepsPath = fileURLToPath(new URL("./steps/steps.js", import.meta.url));

/** The text of a configuration for a place. JSON is YAML. */
export type Configuration = (place: GatewayPlace) => string | Promise<string>;

/** How a configuration at a place names a function of `bench/steps`. */
export function stepOf(place: GatewayPlace, name: string): string {
  return `${relative(place.directory, stepsPath)}#${name}`;
}

/** A place with its configuration written. It may be started several times, one after the other. */
export class BenchSite {
  readonly place: GatewayPlace;
  readonly #configPath: string;

  private constructor(place: GatewayPlace, configPath: string) {
    this.place = place;
    this.#configPath = configPath;
  }

  /** Gives `work` a site of its own and removes it afterwards. */
  static async with<Value>(
    configuration: Configuration,
    work: (site: BenchSite) => Promise<Value>,
  ): Promise<Value> {
    const directory = await temporaryDirectory();
    try {
      const [tcpPort = 0, httpPort = 0, consolePort = 0] = await freePorts(3);
      const place: GatewayPlace = { directory, tcpPort, httpPort, consolePort };
      const configPath = join(directory, "holdfast.yaml");
      await mkdir(join(directory, "data"));
      await writeFile(configPath, await configuration(place));
      return await work(new BenchSite(place, configPath));
    } finally {
      await removeTemporary(directory);
    }
  }

  /** Starts the program; it may not listen yet. */
  launch(): BenchProgram {
    const process = new RunningProgram({
      arguments: [...nodeFlags, programPath, "run", this.#configPath],
      directory: this.place.directory,
    });
    return new BenchProgram(this.place, process);
  }

  /** Starts the program, gives it to `work` once it listens, and stops it; a stop that is not clean rejects. */
  async run<Value>(work: (program: BenchProgram) => Promise<Value>): Promise<Value> {
    const program = this.launch();
    try {
      await program.ready();
      const value = await work(program);
      await program.stop();
      return value;
    } finally {
      await program.kill();
    }
  }
}

/** A running program. */
export class BenchProgram {
  readonly place: GatewayPlace;
  readonly #process: RunningProgram;

  constructor(place: GatewayPlace, process: RunningProgram) {
    this.place = place;
    this.#process = process;
  }

  get pid(): number {
    return this.#process.pid;
  }

  usage(): Usage {
    return usageOf(this.#process.pid);
  }

  /** Resolves when the program has said that it listens. */
  async ready(): Promise<void> {
    await within(readyMs, "start", this.#process.line(startedLine(this.place)));
  }

  /** Records that pipelines have not committed yet. */
  async lagRecords(): Promise<number> {
    return (await scrape(this.place.consolePort)).sum("holdfast_pipeline_lag_records");
  }

  /** Records that receivers have stored since the start. */
  async storedRecords(): Promise<number> {
    return (await scrape(this.place.consolePort)).sum("holdfast_receiver_records_total");
  }

  /** Rows that sinks have committed since the start. */
  async writtenRows(): Promise<number> {
    return (await scrape(this.place.consolePort)).sum("holdfast_sink_rows_total", 0);
  }

  /**
   * Resolves when everything that is stored is committed. `nearlyDone` is asked first because it costs the program
   * nothing; the console is only asked behind it.
   */
  async drained(nearlyDone: () => boolean): Promise<void> {
    await eventually("output", nearlyDone, { everyMs: pollMs, deadlineMs: drainMs });
    await eventually("lag 0", async () => (await this.lagRecords()) === 0, {
      everyMs: pollMs,
      deadlineMs: drainMs,
    });
  }

  async stop(): Promise<void> {
    const exit = await this.#process.stop(stopMs);
    if (exit.code !== 0)
      throw new Error(
        `ended with ${exit.signal ?? exit.code}; it printed:\n${this.#process.output}`,
      );
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }
}
