/** An mqtt-listener on real sockets, with a log that a test plays. */
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { mqttListener, type MqttListenerInput } from "../../receivers/mqtt-listener/index.ts";
import { realHttp } from "../../src/host/real-http.ts";
import { realSockets } from "../../src/host/real-sockets.ts";
import { ReceiverHarness } from "./receiver-harness.ts";

/** The parts that a test moves. */
export interface MqttScene {
  readonly engine: ReceiverHarness;
  /** A client of the mqtt package; resolves when it is connected. */
  readonly dial: (options?: IClientOptions) => Promise<MqttClient>;
  /** Ends what is still open. */
  readonly end: () => Promise<void>;
}

/** An open receiver; anonymous clients may connect unless the options say otherwise. */
export async function mqttScene(
  options: Partial<MqttListenerInput> = {},
  inflightBytesMax: number = Infinity,
): Promise<MqttScene> {
  const engine = new ReceiverHarness({ sockets: realSockets(), http: realHttp, inflightBytesMax });
  await engine.open(mqttListener("devices", { port: 0, anonymous: true, ...options }));
  const clients: MqttClient[] = [];
  return {
    engine,
    async dial(clientOptions = {}) {
      const client = await connected(`mqtt://127.0.0.1:${engine.port}`, clientOptions);
      clients.push(client);
      return client;
    },
    async end() {
      for (const client of clients) client.end(true);
      await engine.session.close(AbortSignal.abort(new Error("the test is over")));
    },
  };
}

/** A connected client that never connects again by itself; rejects where it is refused. */
export function connected(url: string, options: IClientOptions): Promise<MqttClient> {
  const client = connect(url, { reconnectPeriod: 0, protocolVersion: 4, ...options });
  return new Promise((resolve, reject) => {
    client.once("connect", () => resolve(client));
    client.on("error", (cause) => {
      client.end(true);
      reject(cause);
    });
    client.once("close", () => reject(new Error("closed before it was connected")));
  });
}
