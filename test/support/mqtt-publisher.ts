/**
 * Who publishes to a real broker: keeps sending until the broker has taken each message, over its restarts.
 */
import { connect, type MqttClient } from "mqtt";
import { within } from "./deadline.ts";

const PUBLISH_MS = 30_000;

/** What goes with a message. */
export interface PublishOptions {
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  readonly properties?: NonNullable<Parameters<MqttClient["publish"]>[2]>["properties"];
}

/** One client of its own. */
export class MqttPublisher implements AsyncDisposable {
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
  }

  /** Connects to a broker on loopback. It connects again by itself. */
  static async connect(
    port: number,
    options: {
      readonly username?: string;
      readonly password?: string;
      readonly protocolVersion?: 4 | 5;
    } = {},
  ): Promise<MqttPublisher> {
    const client = connect(`mqtt://127.0.0.1:${port}`, {
      protocolVersion: 5,
      reconnectPeriod: 50,
      clientId: "publisher",
      clean: false,
      ...(options.protocolVersion === 4 ? {} : { properties: { sessionExpiryInterval: 3_600 } }),
      ...options,
    });
    // A broker that is killed is part of the test.
    client.on("error", () => undefined);
    await within(
      PUBLISH_MS,
      "connect",
      new Promise<void>((resolve) => client.once("connect", () => resolve())),
    );
    return new MqttPublisher(client);
  }

  /** Resolves when the broker has taken it. */
  async publish(
    topic: string,
    payload: string | Buffer,
    { qos = 1, retain = false, properties }: PublishOptions = {},
  ): Promise<void> {
    const more = properties === undefined ? {} : { properties };
    await within(
      PUBLISH_MS,
      `publish on ${topic}`,
      this.#client.publishAsync(topic, payload, { qos, retain, ...more }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}
