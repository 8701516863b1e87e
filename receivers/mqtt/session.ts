/**
 * One incarnation: connects, finds out what the broker and the log know of the session, subscribes, and hands on what
 * comes.
 */
import { createHash } from "node:crypto";
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { toError } from "../../src/errors.ts";
import { randomHex } from "../../src/host/random.ts";
import { readClientTls } from "../../src/tls-options.ts";
import { BrokerLink } from "./broker-link.ts";
import { type Broker, brokerOf, type MqttOptions } from "./options.ts";
import { SessionFilters } from "./session-filters.ts";
import { subscribe, unsubscribe, wantedFilters } from "./subscriptions.ts";
import { UnreleasedIds } from "./unreleased-ids.ts";

/** Where the client id that was drawn for this data directory is kept. */
const CLIENT_ID_CHANNEL = "client-id";
const CLIENT_ID_BYTES = 6;
/** Longest name of a session that is used as it is; a longer one is hashed. */
const IDENTITY_BYTES_MAX = 200;

type Context = ReceiverContext<MqttOptions>;

/** Connects and subscribes. @throws CONNECTION_ and MQTT_ codes */
export async function openSession(context: Context): Promise<ReceiverSession> {
  const { signal, guard } = context;
  const session = await Session.connect(context);
  const abort = guard(() => session.link.destroy());
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    await session.begin();
  } catch (cause) {
    session.link.destroy();
    throw cause;
  } finally {
    signal.removeEventListener("abort", abort);
  }
  // It has failed: `close` comes later, and nothing more is to be taken.
  const stop = guard(() => session.link.deliveries.settle());
  signal.addEventListener("abort", stop, { once: true });
  return session;
}

class Session implements ReceiverSession {
  readonly #context: Context;
  readonly #identity: string;
  #link: BrokerLink | undefined;
  #isSessionPresent = false;
  #closing: Promise<void> | undefined;

  private constructor(context: Context, identity: string) {
    this.#context = context;
    this.#identity = identity;
  }

  static async connect(context: Context): Promise<Session> {
    const broker = brokerOf(context.options);
    const clientId = await clientIdOf(context);
    const session = new Session(context, identityOf(clientId, broker));
    const peer = await connectStream(context, broker);
    session.#link = new BrokerLink(context, peer, {
      clientId,
      accepted: (isPresent) => session.#accepted(isPresent),
    });
    return session;
  }

  get link(): BrokerLink {
    if (this.#link === undefined) throw new TypeError("the session is not connected");
    return this.#link;
  }

  /** Up to the answers to all subscriptions; then it runs by itself. */
  async begin(): Promise<void> {
    const { over } = this.link;
    const lost = over.then((cause) => {
      throw cause ?? this.#context.signal.reason ?? new Error("the connection was ended");
    });
    await Promise.race([lost, this.#agree()]);
    void this.#watch(over);
  }

  async #watch(over: BrokerLink["over"]): Promise<void> {
    const cause = await over;
    if (cause !== undefined) this.#context.fail(cause);
  }

  pause(): void {
    this.link.deliveries.pause();
  }

  resume(): void {
    this.link.deliveries.resume();
  }

  close(signal: AbortSignal): Promise<void> {
    this.#closing ??= this.#close();
    const force = (): void => {
      this.link.deliveries.end(toError(signal.reason));
      this.link.destroy();
    };
    if (signal.aborted) force();
    else signal.addEventListener("abort", force, { once: true });
    return this.#closing.finally(() => signal.removeEventListener("abort", force));
  }

  async #close(): Promise<void> {
    await this.link.deliveries.settle();
    await this.link.close();
  }

  /** What the session holds has to be known before its first message is looked at. */
  #accepted(isSessionPresent: boolean): void {
    this.#isSessionPresent = isSessionPresent;
    const held = isSessionPresent ? this.#context.resumePosition(this.#channel) : undefined;
    this.link.deliveries.begin(this.#channel, UnreleasedIds.decode(held));
  }

  get #channel(): string {
    return `session ${this.#identity}`;
  }

  async #agree(): Promise<void> {
    const { link } = this;
    const { options, resumePosition, storePosition } = this.#context;
    await link.connected;
    // Ids of a session that the broker has forgotten belong to other messages from now on.
    if (!this.#isSessionPresent && UnreleasedIds.decode(resumePosition(this.#channel)).size > 0)
      await storePosition(this.#channel, new UnreleasedIds().encode());
    link.deliveries.start();
    const filters = new SessionFilters(this.#context, `filters ${this.#identity}`);
    const { topics, qos, protocolVersion } = options;
    const wanted = wantedFilters(topics, qos);
    const change = filters.change(this.#isSessionPresent, wanted);
    // With 3.1.1 each SUBSCRIBE brings the retained messages again, so what is known to be there stays.
    if (!change.isNeeded && protocolVersion === 4) return;
    if (change.isNeeded) await filters.begin(change);
    await unsubscribe(link.client, change.stale);
    await subscribe(link.client, wanted);
    if (change.isNeeded) await filters.done(wanted);
  }
}

async function connectStream(
  { name, files, sockets, signal, dial }: Context,
  { host, port, tls }: Broker,
): ReturnType<Context["sockets"]["connectStream"]> {
  const security = tls === undefined ? {} : { tls: await readClientTls(name, files, tls) };
  const endpoint = { host, port, ...security };
  return dial(`${host}:${port}`, () => sockets.connectStream(endpoint, signal));
}

/**
 * The same over restarts, and another one in each data directory: two gateways with one configuration would throw each
 * other out.
 */
async function clientIdOf({
  name,
  options,
  random,
  resumePosition,
  storePosition,
}: Context): Promise<string> {
  if (options.clientId !== undefined) return options.clientId;
  const kept = resumePosition(CLIENT_ID_CHANNEL);
  const drawn =
    kept === undefined ? randomHex(random, CLIENT_ID_BYTES) : Buffer.from(kept).toString("latin1");
  if (kept === undefined) await storePosition(CLIENT_ID_CHANNEL, Buffer.from(drawn, "latin1"));
  return `holdfast-${name}-${drawn}`;
}

/** Which session of which broker: what is known of one must not be believed of another. */
function identityOf(clientId: string, { host, port }: Broker): string {
  const text = `${clientId}@${host}:${port}`;
  if (Buffer.byteLength(text) <= IDENTITY_BYTES_MAX) return text;
  return createHash("sha256").update(text).digest("hex");
}
