/**
 * Real Kafka brokers for tests: KRaft nodes on loopback, from jars that `scripts/services.sh` brings.
 *
 * A start costs some seconds of a core: a test file shares one broker, or one cluster.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import kafkajs from "kafkajs";
import { eventually, within } from "../support/deadline.ts";
import { freePorts } from "../support/free-port.ts";
import { tlsFile } from "../support/tls-files.ts";
import { endWithUs } from "./servers.ts";

/** Brokers that tests run against. */
export type KafkaVersion = "3.9.2" | "4.4.0";

/** How long a broker may take to answer after its start, or to be gone. */
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 20_000;
/** Its cluster; any 16 bytes would do. */
const CLUSTER_ID = "aG9sZGZhc3QtdGVzdHMtMQ";

/** What differs from a plain broker. */
export interface KafkaOptions {
  readonly version?: KafkaVersion;
  /** Also listens with SASL (PLAIN and SCRAM, user `alice`, password `wonderland`) and with TLS (fixture `first`). */
  readonly secure?: boolean;
  /** Further properties of the broker. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** Who may log in at the listener `sasl` of a secure broker. */
export const saslUser: { readonly username: string; readonly password: string } = {
  username: "alice",
  password: "wonderland",
};

/** A node; `start` has been awaited when one gets it. */
export interface KafkaBroker {
  /** `127.0.0.1:port` of the listeners. */
  readonly plain: string;
  readonly sasl: string;
  readonly tls: string;
  /** Clients of the plain listener; close what you open. */
  readonly client: kafkajs.Kafka;
  /** Again on the same data, after `stop` or `kill`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Stops the clock of the broker: it keeps its connections and answers nothing until `thaw`. */
  freeze(): void;
  thaw(): void;
  createTopic(topic: string, options?: TopicOptions): Promise<void>;
  /** Resolves when the brokers no longer know it. */
  deleteTopic(topic: string): Promise<void>;
  /** Stops it and removes its folder. */
  remove(): Promise<void>;
}

/** What a topic has beside its name. */
export interface TopicOptions {
  readonly partitions?: number;
  readonly config?: Readonly<Record<string, string>>;
}

/** The folder of a version's jars. */
function jarsOf(version: KafkaVersion): string {
  const cache = process.env["HOLDFAST_KAFKA"] ?? join(homedir(), ".cache", "holdfast-kafka");
  return join(cache, version);
}

/**
 * Why tests against this version are skipped, or false where it is installed. With CI=true they never are: a missing
 * broker then fails them.
 */
export function kafkaSkip(version: KafkaVersion = "4.4.0"): string | false {
  if (process.env["CI"] === "true") return false;
  if (!existsSync(join(jarsOf(version), ".complete")))
    return `Kafka ${version} is not in ${jarsOf(version)}: run scripts/services.sh`;
  if (spawnSync("java", ["-version"]).status !== 0) return "no java: run scripts/services.sh";
  return false;
}

/** Starts a broker in a folder of its own; `remove` it at the end. */
export async function kafkaBroker(options: KafkaOptions = {}): Promise<KafkaBroker> {
  const [node] = await startedNodes(1, options);
  return node;
}

/** Starts three brokers of one cluster, each with a replica of every partition; `remove` each at the end. */
export async function kafkaCluster(
  options: KafkaOptions = {},
): Promise<readonly [KafkaBroker, KafkaBroker, KafkaBroker]> {
  const [first, second, third] = await startedNodes(3, options);
  if (second === undefined || third === undefined) throw new TypeError("three nodes are three");
  return [first, second, third];
}

async function startedNodes(
  count: number,
  options: KafkaOptions,
): Promise<readonly [Node, ...Node[]]> {
  const all = await freePorts(count * PORTS_PER_NODE);
  const ports = Array.from({ length: count }, (_, i) =>
    all.slice(i * PORTS_PER_NODE, (i + 1) * PORTS_PER_NODE),
  );
  const made = await Promise.all(
    ports.map(async (_, index) => {
      const directory = await mkdtemp(join(tmpdir(), "holdfast-kafka-"));
      return new Node({ directory, ports, index, options });
    }),
  );
  for (const node of made) await node.format();
  // None answers before most of them are there.
  await Promise.all(made.map((node) => node.start()));
  const [first, ...others] = made;
  if (first === undefined) throw new TypeError("a cluster has a node at least");
  return [first, ...others];
}

/** Its listeners plain, sasl and tls, and the controller's. */
const PORTS_PER_NODE = 4;
const CONTROLLER_PORT = 3;

interface NodeParts {
  readonly directory: string;
  /** Of each node. */
  readonly ports: readonly (readonly number[])[];
  /** Which of them it is. */
  readonly index: number;
  readonly options: KafkaOptions;
}

class Node implements KafkaBroker {
  readonly plain: string;
  readonly sasl: string;
  readonly tls: string;
  readonly client: kafkajs.Kafka;
  readonly #directory: string;
  readonly #allPorts: readonly (readonly number[])[];
  readonly #index: number;
  readonly #options: KafkaOptions;
  #child: ChildProcess | undefined;

  constructor({ directory, ports, index, options }: NodeParts) {
    this.#directory = directory;
    this.#allPorts = ports;
    this.#index = index;
    this.#options = options;
    const [plain, sasl, tls] = this.#ports.map((port) => `127.0.0.1:${port}`);
    this.plain = plain ?? "";
    this.sasl = sasl ?? "";
    this.tls = tls ?? "";
    this.client = new kafkajs.Kafka({
      brokers: ports.map(([port]) => `127.0.0.1:${port}`),
      clientId: "test",
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: 20 },
    });
  }

  get #ports(): readonly number[] {
    return this.#allPorts[this.#index] ?? [];
  }

  async format(): Promise<void> {
    await this.#writeProperties();
    const { username, password } = saslUser;
    const users = ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
      "--add-scram",
      `${mechanism}=[name=${username},password=${password}]`,
    ]);
    const { status, stderr, stdout } = spawnSync(
      "java",
      [
        ...this.#javaArguments("kafka.tools.StorageTool"),
        "format",
        "--cluster-id",
        CLUSTER_ID,
        "--config",
        this.#propertiesPath,
        ...(this.#options.secure === true ? users : []),
      ],
      { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`formatting a broker's folder failed: ${stdout}${stderr}`);
  }

  async start(): Promise<void> {
    const logPath = join(this.#directory, "server.log");
    const child = spawn(
      "java",
      [...this.#javaArguments("kafka.Kafka"), this.#propertiesPath],
      // Its own group: a Ctrl-C in the terminal reaches the tests, which then end it.
      { stdio: ["ignore", "pipe", "pipe"], detached: true },
    );
    endWithUs(child);
    const log = createWriteStream(logPath, { flags: "a" });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once("close", () => {
      log.end();
    });
    this.#child = child;
    await eventually(
      "the broker answers",
      () => {
        if (child.exitCode !== null)
          throw new Error(`the broker ended: ${readFileSync(logPath, "utf8").slice(-4_000)}`);
        return this.#isReady();
      },
      { everyMs: 100, deadlineMs: START_MS_MAX },
    );
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const gone = goneOf(child);
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    await gone;
    clearTimeout(timer);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const gone = goneOf(child);
    child.kill("SIGKILL");
    await within(STOP_MS_MAX, "the broker is gone", gone);
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async createTopic(
    topic: string,
    { partitions = 1, config = {} }: TopicOptions = {},
  ): Promise<void> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await this.#asAdmin(async (admin) => {
      await admin.createTopics({
        topics: [{ topic, numPartitions: partitions, configEntries }],
        waitForLeaders: true,
      });
    });
  }

  async deleteTopic(topic: string): Promise<void> {
    await this.#asAdmin(async (admin) => {
      await admin.deleteTopics({ topics: [topic] });
      await eventually(
        `topic ${topic} is gone`,
        async () => !(await admin.listTopics()).includes(topic),
        { everyMs: 50, deadlineMs: START_MS_MAX },
      );
    });
  }

  async remove(): Promise<void> {
    this.thaw();
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #propertiesPath(): string {
    return join(this.#directory, "server.properties");
  }

  #javaArguments(program: string): readonly string[] {
    const jars = join(jarsOf(this.#options.version ?? "4.4.0"), "*");
    return [
      "-Xms128m",
      "-Xmx384m",
      "-XX:+UseSerialGC",
      "-XX:TieredStopAtLevel=1",
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      "-cp",
      jars,
      program,
    ];
  }

  async #writeProperties(): Promise<void> {
    const [plain = 0, sasl = 0, tls = 0, controller = 0] = this.#ports;
    const voters = this.#allPorts.map(
      (ports, index) => `${index + 1}@127.0.0.1:${ports[CONTROLLER_PORT]}`,
    );
    const count = this.#allPorts.length;
    // One of three replicas may be away.
    const insync = String(Math.min(count, 2));
    const isSecure = this.#options.secure === true;
    const listeners = [`PLAINTEXT://127.0.0.1:${plain}`];
    if (isSecure) listeners.push(`SASL://127.0.0.1:${sasl}`, `TLS://127.0.0.1:${tls}`);
    const properties: Readonly<Record<string, string>> = {
      "process.roles": "broker,controller",
      "node.id": String(this.#index + 1),
      "controller.quorum.voters": voters.join(","),
      "controller.listener.names": "CONTROLLER",
      listeners: [...listeners, `CONTROLLER://127.0.0.1:${controller}`].join(","),
      "advertised.listeners": listeners.join(","),
      "listener.security.protocol.map":
        "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL",
      "inter.broker.listener.name": "PLAINTEXT",
      "log.dirs": join(this.#directory, "logs"),
      // Every node holds every replica.
      "default.replication.factor": String(count),
      "min.insync.replicas": insync,
      "offsets.topic.num.partitions": "4",
      "offsets.topic.replication.factor": String(count),
      "transaction.state.log.num.partitions": "4",
      "transaction.state.log.replication.factor": String(count),
      "transaction.state.log.min.isr": insync,
      "share.coordinator.state.topic.replication.factor": String(count),
      "share.coordinator.state.topic.min.isr": insync,
      // A member joins at once, and a killed broker may come back before its old registration expires.
      "group.initial.rebalance.delay.ms": "0",
      "broker.session.timeout.ms": "2000",
      "broker.heartbeat.interval.ms": "500",
      "group.min.session.timeout.ms": "1000",
      "auto.create.topics.enable": "false",
      ...(isSecure ? await this.#secureProperties() : {}),
      ...this.#options.properties,
    };
    const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(this.#propertiesPath, lines.join(""));
  }

  async #secureProperties(): Promise<Readonly<Record<string, string>>> {
    const keystore = join(this.#directory, "keystore.pem");
    const truststore = join(this.#directory, "truststore.pem");
    await writeFile(keystore, Buffer.concat([tlsFile("first", "key"), tlsFile("first", "cert")]));
    await writeFile(truststore, tlsFile("first", "cert"));
    const { username, password } = saslUser;
    const modules = "org.apache.kafka.common.security";
    const scram = `${modules}.scram.ScramLoginModule required;`;
    return {
      "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
      "listener.name.sasl.plain.sasl.jaas.config": `${modules}.plain.PlainLoginModule required user_${username}="${password}";`,
      "listener.name.sasl.scram-sha-256.sasl.jaas.config": scram,
      "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
      "ssl.keystore.type": "PEM",
      "ssl.keystore.location": keystore,
      "ssl.truststore.type": "PEM",
      "ssl.truststore.location": truststore,
      "ssl.client.auth": "requested",
    };
  }

  /** The listener answers, and the coordinator's own topics can be made. */
  async #isReady(): Promise<boolean> {
    const probe = new kafkajs.Kafka({
      brokers: [this.plain],
      logLevel: kafkajs.logLevel.NOTHING,
      connectionTimeout: 500,
      retry: { retries: 0 },
    }).admin();
    try {
      await probe.connect();
      const { brokers } = await probe.describeCluster();
      return brokers.length === this.#allPorts.length;
    } catch {
      // Not yet: it is asked again.
      return false;
    } finally {
      await probe.disconnect();
    }
  }

  async #asAdmin(work: (admin: kafkajs.Admin) => Promise<void>): Promise<void> {
    const admin = this.client.admin();
    await admin.connect();
    try {
      await work(admin);
    } finally {
      await admin.disconnect();
    }
  }
}

function goneOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("close", () => resolve()));
}
