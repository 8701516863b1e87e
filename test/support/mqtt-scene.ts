/** An mqtt receiver at a broker and with a log that a test plays. */
import type { Packet } from "mqtt-packet";
import { mqtt, type MqttInput } from "../../receivers/mqtt/index.ts";
import type { ReceiverSession } from "../../src/contract/receiver.ts";
import { type BrokerSide, MemoryBroker, reached, turns } from "./memory-broker.ts";
import { ReceiverHarness } from "./receiver-harness.ts";

/** How the broker answers while the receiver opens. */
export interface Welcome {
  readonly isSessionPresent?: boolean;
  /** CONNACK's code. */
  readonly code?: number;
  /** What CONNACK says beside that. */
  readonly properties?: NonNullable<Extract<Packet, { cmd: "connack" }>["properties"]>;
  /** SUBACK's codes; those that were asked for when absent. */
  readonly granted?: readonly number[];
  /** Instead of a friendly welcome. */
  readonly greet?: (side: BrokerSide) => void;
}

/** The parts that a test moves. */
export interface MqttScene {
  readonly engine: ReceiverHarness;
  readonly broker: MemoryBroker;
  readonly session: ReceiverSession;
  readonly peer: BrokerSide;
}

/** Answers CONNECT, SUBSCRIBE, UNSUBSCRIBE and pings as a friendly broker does. */
export function welcome(
  side: BrokerSide,
  { isSessionPresent = false, code = 0, granted, properties }: Welcome = {},
): void {
  const answer = (packet: Packet): void => {
    if (packet.cmd === "connect")
      side.send({
        cmd: "connack",
        sessionPresent: isSessionPresent,
        returnCode: code,
        reasonCode: code,
        ...(properties === undefined ? {} : { properties }),
      });
    else if (packet.cmd === "subscribe")
      side.send({
        cmd: "suback",
        ...idOf(packet),
        granted: [...(granted ?? packet.subscriptions.map(({ qos }) => qos))],
      });
    else if (packet.cmd === "unsubscribe")
      side.send({ cmd: "unsuback", ...idOf(packet), granted: packet.unsubscriptions.map(() => 0) });
    else if (packet.cmd === "pingreq") side.send({ cmd: "pingresp" });
  };
  for (const packet of side.packets) answer(packet);
  side.onPacket = answer;
}

function idOf({ messageId }: Packet): { readonly messageId?: number } {
  return messageId === undefined ? {} : { messageId };
}

/** Options that every test has. */
export const FIELD: MqttInput = { url: "mqtt://broker", clientId: "gateway", topics: ["a/#"] };

/** Options beside {@link FIELD}, or instead of all of them. */
export interface SceneOptions {
  readonly options?: Partial<MqttInput>;
  readonly instead?: MqttInput;
}

/** Opens a receiver at a friendly broker; the log commits what that needs. */
export async function openAt(
  broker: MemoryBroker,
  engine: ReceiverHarness,
  { options = {}, instead, ...how }: Welcome & SceneOptions = {},
): Promise<ReceiverSession> {
  const count = broker.connections.length;
  const opening = engine.open(mqtt("field", instead ?? { ...FIELD, ...options }));
  let isDone = false;
  void opening
    .catch(() => undefined)
    .finally(() => {
      isDone = true;
    });
  let isGreeted = false;
  await reached("open", () => {
    if (engine.inflightBlocks.length > 0) void engine.commit();
    const side = broker.connections[count];
    if (!isGreeted && side !== undefined && side.packets.length > 0) {
      isGreeted = true;
      if (how.greet === undefined) welcome(side, how);
      else how.greet(side);
    }
    return isDone;
  });
  return opening;
}

/** An open receiver. */
export async function mqttScene({
  inflightBytesMax = Infinity,
  ...how
}: Welcome & {
  readonly options?: Partial<MqttInput>;
  readonly inflightBytesMax?: number;
} = {}): Promise<MqttScene> {
  const broker = new MemoryBroker(how.options?.protocolVersion === 4 ? 4 : 5);
  const engine = new ReceiverHarness({ sockets: broker, inflightBytesMax });
  const session = await openAt(broker, engine, how);
  await turns();
  return { engine, broker, session, peer: broker.last };
}
