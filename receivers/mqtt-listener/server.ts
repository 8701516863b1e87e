/**
 * The listening side: lets clients in within the limits, holds them back under pressure, and ends them in order.
 */
import type { Aedes } from "aedes";
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { codeOf, type HoldfastError, toError } from "../../src/errors.ts";
import type { Clock } from "../../src/host/clock.ts";
import type { Endpoint, Listener, PeerStream } from "../../src/host/sockets.ts";
import { UnfinishedBytes } from "../../src/record/unfinished-bytes.ts";
import { type Access, accessOf, refusalOfCount, refusalOfNames } from "../../src/access.ts";
import { openBroker } from "./broker.ts";
import { Device } from "./device.ts";
import { Lane, type LaneOwner } from "./lane.ts";
import type { MqttListenerOptions } from "./options.ts";
import { type GateOwner, PacketGate } from "./packet-gate.ts";
import { passwordsOf } from "./passwords.ts";
import { Sessions } from "./sessions.ts";
import { listenForWebSockets } from "./websockets.ts";

/** Connections that wait to be accepted. */
const BACKLOG = 511;

/** One incarnation of an mqtt-listener receiver. */
export class MqttListener implements ReceiverSession, GateOwner, LaneOwner {
  readonly context: ReceiverContext<MqttListenerOptions>;
  readonly clock: Clock;
  readonly guard: ReceiverContext<MqttListenerOptions>["guard"];
  readonly inflightMessagesMax: number;
  readonly messageBytesMax: number;
  readonly unfinished: UnfinishedBytes;
  readonly #lane: Lane;
  readonly #sessions: Sessions;
  /** By the stream that aedes knows; a will is published when that is gone. */
  readonly #devices = new WeakMap<object, Device>();
  readonly #gates = new Map<PacketGate, Device>();
  readonly #refused = new WeakSet<PacketGate>();
  /** The newest connection of each client id. */
  readonly #newest = new Map<string, PacketGate>();
  readonly #listeners: Pick<Listener, "close">[] = [];
  #broker: Aedes | undefined;
  #access: Access | undefined;
  #address: Endpoint;
  #isPaused = false;
  #closing: Promise<void> | undefined;
  #whenQuiet: (() => void) | undefined;

  constructor(context: ReceiverContext<MqttListenerOptions>) {
    const { options, clock, guard, signal, resumePosition } = context;
    this.context = context;
    this.clock = clock;
    this.guard = guard;
    this.inflightMessagesMax = options.inflightMessagesMax;
    this.messageBytesMax = options.messageBytesMax;
    this.unfinished = new UnfinishedBytes(options.unfinishedBytesMax);
    this.#address = options;
    this.#lane = new Lane(this);
    this.#sessions = new Sessions(this.#lane, resumePosition);
    // It has failed: what waits is refused, and its senders have no acknowledgement of it.
    const fenced = guard(() => this.#lane.drop(toError(signal.reason)));
    signal.addEventListener("abort", fenced, { once: true });
  }

  get address(): Endpoint {
    return this.#address;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get hasRoom(): boolean {
    return this.#closing === undefined && !this.context.signal.aborted && this.#lane.hasRoom;
  }

  /** Binds. @throws CONFIG_VALUE, PORT_IN_USE, ADDRESS_UNAVAILABLE */
  async listen(): Promise<void> {
    const { context } = this;
    const { options, sockets, fail, guard } = context;
    const access = await accessOf(context);
    this.#access = access;
    this.#broker = await openBroker({
      context,
      lane: this.#lane,
      sessions: this.#sessions,
      passwords: await passwordsOf(context),
      deviceOf: (stream) => this.#devices.get(stream),
      isClosing: () => this.#closing !== undefined || context.signal.aborted,
      refused: (device, cause) => this.refused(device.gate, cause),
      admitted: (device) => this.#admitted(device),
    });
    const accept = guard((peer: PeerStream) => this.#accept(peer));
    const { host, port, websocket } = options;
    try {
      const place = { host, port, backlog: BACKLOG };
      const listener = await sockets.listenStreams({ ...place, ...access }, accept, fail);
      this.#listeners.push(listener);
      this.#address = listener.address;
      if (websocket !== undefined)
        this.#listeners.push(await listenForWebSockets(this, websocket, access, accept));
    } catch (cause) {
      await this.close(AbortSignal.abort(cause));
      throw cause;
    }
  }

  pause(): void {
    // Messages of QoS 1 and 2 wait unacknowledged, up to the limits; the gates stop there.
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#lane.resume();
  }

  close(signal: AbortSignal): Promise<void> {
    this.#closing ??= this.#stop();
    const force = (): void => {
      this.#lane.drop(toError(signal.reason));
      this.#whenQuiet?.();
    };
    if (signal.aborted) force();
    else signal.addEventListener("abort", force, { once: true });
    return this.#closing.finally(() => signal.removeEventListener("abort", force));
  }

  /** Called by a gate, and for what aedes refuses. */
  refused(gate: PacketGate, cause: HoldfastError): void {
    // What we end reaches aedes as an error of its own, which is no second reason.
    if (this.#refused.has(gate)) return;
    this.#refused.add(gate);
    this.#access?.refused(gate.peer.peer, cause);
  }

  closed(gate: PacketGate): void {
    const device = this.#gates.get(gate);
    if (device === undefined) return;
    this.#gates.delete(gate);
    const { clientId } = device.identity;
    if (this.#newest.get(clientId) === gate) this.#newest.delete(clientId);
    this.context.connections(this.#gates.size);
  }

  broke(cause: Error): void {
    this.#sessions.forgetAll();
    const code = codeOf(cause);
    // A fenced incarnation is about to be closed; anything else is worth a line.
    if (this.#gates.size > 0 && this.#closing === undefined && !this.context.signal.aborted)
      this.context.logger.warn(
        `${this.#gates.size} connections end, their messages are not stored: ${cause.message}`,
        { code },
      );
    for (const { stream } of this.#gates.keys()) stream.destroy();
  }

  changed(): void {
    if (this.#lane.isEmpty) this.#whenQuiet?.();
    if (this.hasRoom) for (const gate of this.#gates.keys()) gate.resume();
  }

  #accept(peer: PeerStream): void {
    const { stream } = peer;
    // For as long as it lives: an error of a socket ends that socket only.
    stream.on("error", () => stream.destroy());
    const { context } = this;
    const broker = this.#broker;
    if (broker === undefined || this.#closing !== undefined || context.signal.aborted)
      return void stream.destroy();
    const refusal = this.#refusalOf(peer);
    if (refusal !== undefined) {
      stream.destroy();
      return this.#access?.refused(peer.peer, refusal);
    }
    const gate = new PacketGate(this, peer);
    const device = new Device(gate);
    this.#gates.set(gate, device);
    this.#devices.set(gate.stream, device);
    broker.handle(gate.stream);
    context.alive();
    context.connections(this.#gates.size);
  }

  /** aedes ends the older one, but forgets the newer one when the older breaks while that is let in. */
  #admitted({ gate, identity: { clientId } }: Device): void {
    // It may have ended while it was let in.
    if (!this.#gates.has(gate)) return;
    const older = this.#newest.get(clientId);
    this.#newest.set(clientId, gate);
    older?.stream.destroy();
  }

  #refusalOf({ peerNames }: PeerStream): HoldfastError | undefined {
    const { options } = this.context;
    return refusalOfCount(options, this.#gates.size) ?? refusalOfNames(options, peerNames);
  }

  /** What was taken is settled and acknowledged, then the connections end. */
  async #stop(): Promise<void> {
    const quiet = new Promise<void>((resolve) => {
      this.#whenQuiet = resolve;
    });
    for (const listener of this.#listeners) await listener.close();
    this.#lane.flush();
    if (!this.#lane.isEmpty) await quiet;
    // The acknowledgements are written at the end of the turn.
    await this.clock.yield();
    const broker = this.#broker;
    if (broker !== undefined) await new Promise<void>((resolve) => broker.close(() => resolve()));
    for (const { stream } of this.#gates.keys()) stream.destroy();
    this.#lane.close();
  }
}
