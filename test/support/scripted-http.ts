/**
 * HTTP servers that do what a test says, without sockets: the host's client for sinks on a virtual clock.
 */
import { HoldfastError } from "../../src/errors.ts";
import type {
  HttpAnswer,
  HttpClient,
  HttpConnection,
  HttpQuestion,
  HttpServerPlace,
} from "../../src/host/http-client.ts";

/** A request as it came. */
export interface ScriptedQuestion {
  readonly place: HttpServerPlace;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly key: string;
  /** Connections are counted from 1. */
  readonly connection: number;
}

/** What is answered; `break` ends the connection instead, `never` is silence. */
export type ScriptedReply =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly isReusable?: boolean;
    }
  | "break"
  | "never";

/** See the file's head. */
export class ScriptedHttp implements HttpClient {
  readonly questions: ScriptedQuestion[] = [];
  readonly places: HttpServerPlace[] = [];
  openCount = 0;
  /** Requests that are being answered, and the most there ever were. */
  asking = 0;
  askingMax = 0;
  reply: (question: ScriptedQuestion) => ScriptedReply | Promise<ScriptedReply> = () => ({
    status: 200,
  });
  /** Why connects fail, or undefined. */
  refusal: (place: HttpServerPlace) => HoldfastError | undefined = () => undefined;

  get bodies(): readonly string[] {
    return this.questions.map(({ body }) => body);
  }

  get keys(): readonly string[] {
    return this.questions.map(({ key }) => key);
  }

  readonly connect = async (
    place: HttpServerPlace,
    _signal: AbortSignal,
    broke: (cause: Error) => void,
  ): Promise<HttpConnection> => {
    this.places.push(place);
    const refusal = this.refusal(place);
    if (refusal !== undefined) throw refusal;
    this.openCount++;
    const connection = this.places.length;
    const gone = new AbortController();
    return {
      send: (question, signal) =>
        this.#send({ question, place, connection, broke }, AbortSignal.any([signal, gone.signal])),
      destroy: () => {
        if (!gone.signal.aborted) this.openCount--;
        gone.abort(new HoldfastError("CONNECTION_FAILED", "destroyed"));
      },
    };
  };

  async #send(sent: Sent, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    this.asking++;
    this.askingMax = Math.max(this.askingMax, this.asking);
    try {
      return await this.#answer(sent, signal);
    } finally {
      this.asking--;
    }
  }

  async #answer(sent: Sent, signal: AbortSignal): Promise<HttpAnswer> {
    const { question, place, connection, broke } = sent;
    const { method, path, headers, body } = question;
    const asked: ScriptedQuestion = {
      place,
      method,
      path,
      headers,
      connection,
      body: Buffer.from(body).toString(),
      key: headers["idempotency-key"] ?? "",
    };
    this.questions.push(asked);
    const reply = await this.reply(asked);
    if (reply === "never")
      return await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
      );
    if (reply === "break") {
      const cause = new HoldfastError("CONNECTION_FAILED", "reset by peer");
      broke(cause);
      throw cause;
    }
    return {
      status: reply.status,
      headers: reply.headers ?? {},
      body: Buffer.from(reply.body ?? "").subarray(0, question.answerBytesMax),
      isReusable: reply.isReusable ?? true,
    };
  }
}

interface Sent {
  readonly question: HttpQuestion;
  readonly place: HttpServerPlace;
  readonly connection: number;
  readonly broke: (cause: Error) => void;
}

/** A server that remembers keys: what it has taken, once each. */
export class KeyedStore {
  readonly rows: string[] = [];
  readonly #answers = new Map<string, ScriptedReply>();
  /** Whether rows are taken. */
  judge: (rows: readonly string[]) => number = () => 200;
  repeated = 0;

  readonly take = ({
    key,
    body,
  }: {
    readonly key: string;
    readonly body: string;
  }): ScriptedReply => {
    const known = this.#answers.get(key);
    if (known !== undefined) {
      this.repeated++;
      return known;
    }
    const rows = body.split("\n").slice(0, -1);
    const status = this.judge(rows);
    if (status === 200) this.rows.push(...rows);
    const reply = { status, body: status === 200 ? "" : `no ${status}` };
    this.#answers.set(key, reply);
    return reply;
  };
}
