/** The part of pg-pool 3.14 that the tests use; it comes without types. */
declare module "pg-pool" {
  /** What pg-pool asks of a client, by its own code. */
  export interface PoolClient {
    connect(done: (error?: Error) => void): void;
    end(done?: () => void): void;
    isConnected(): boolean;
    on(event: string, listener: (...args: readonly unknown[]) => void): void;
    once(event: string, listener: (...args: readonly unknown[]) => void): void;
    removeListener(event: string, listener: (...args: readonly unknown[]) => void): void;
  }

  interface Options<Client extends PoolClient> {
    readonly Client: new () => Client;
    readonly max?: number;
    readonly connectionTimeoutMillis?: number;
    readonly idleTimeoutMillis?: number;
    readonly maxLifetimeSeconds?: number;
  }

  export default class Pool<Client extends PoolClient> {
    constructor(options: Options<Client>);
    connect(): Promise<Client & { release(error?: Error): void }>;
    end(): Promise<void>;
    readonly totalCount: number;
    readonly idleCount: number;
    readonly waitingCount: number;
  }
}
