/**
 * Who may connect to a receiver that listens: TLS, client certificates, allow-lists. Files are read each time it opens,
 * so that a renewed certificate needs no restart of the program: `holdfast units restart NAME` is enough.
 */
import type { X509Certificate } from "node:crypto";
import type { ReceiverContext } from "./contract/receiver.ts";
import { codeOf, HoldfastError } from "./errors.ts";
import { AddressRanges } from "./host/address-ranges.ts";
import type { ServerTls } from "./host/tls.ts";
import { certificatesOf, checkPair, type PemFile } from "./pem.ts";
import { PeerWarnings } from "./record/peer-warnings.ts";
import { type Defaulted, type ObjectSchema, type Optional, schema } from "./schema.ts";
import { readPem } from "./tls-options.ts";

/** How to listen with TLS. */
export interface TlsListenOptions {
  /** PEM file of the certificate with its chain. */
  readonly cert: string;
  /** PEM file of its key. */
  readonly key: string;
  /** PEM file of authorities: only clients with a certificate that one of them signed are let in. @defaultValue anybody */
  readonly clientCa?: string;
  /**
   * Names, of which a client's certificate must have one (its common name or an alternative name); `*` stands for any
   * characters. Needs `clientCa`. @defaultValue any
   */
  readonly clientNames?: readonly string[];
}

/** See {@link TlsListenOptions}. */
const tlsListenOptions: ObjectSchema<TlsListenOptions, TlsListenOptions> = schema.object({
  cert: schema.string(),
  key: schema.string(),
  clientCa: schema.optional(schema.string()),
  clientNames: schema.optional(schema.list(schema.string())),
});

/** Who may connect, as options of a receiver that listens. */
export interface AccessOptions {
  /** With it, and only with it, connections are encrypted. @defaultValue plain */
  readonly tls?: TlsListenOptions;
  /** Addresses and networks (`10.0.0.0/8`) that may connect; others are closed at once. @defaultValue all */
  readonly allow?: readonly string[];
}

/** The field `host` of what listens: an empty text would be all addresses. */
export const listenHost: Defaulted<string> = schema.withDefault(
  schema.string({ pattern: /\S/, wanted: "an address" }),
  "127.0.0.1",
);

/** The fields of {@link AccessOptions}. */
export const accessFields: {
  readonly tls: Optional<TlsListenOptions>;
  readonly allow: Optional<readonly string[]>;
} = {
  tls: schema.optional(tlsListenOptions),
  allow: schema.optional(schema.list(schema.string())),
};

/** What the schema cannot know of a listener. @throws CONFIG_CONFLICT, CONFIG_VALUE */
export function checkAccess(owner: string, { tls, allow }: AccessOptions): void {
  if (tls?.clientNames !== undefined && tls.clientCa === undefined)
    throw new HoldfastError("CONFIG_CONFLICT", `${owner}: tls.clientNames needs tls.clientCa`, {
      fix: "tls.clientCa: FILE with the authorities of the clients' certificates",
    });
  for (const [name, list] of [
    ["allow", allow],
    ["tls.clientNames", tls?.clientNames],
  ] as const)
    if (list?.length === 0)
      throw new HoldfastError(
        "CONFIG_VALUE",
        `${owner}: ${name} has 0 entries: nobody could connect`,
        {
          fix: `name who may connect, or leave ${name} out`,
        },
      );
  const invalid = allow === undefined ? undefined : new AddressRanges(allow).invalid;
  if (invalid !== undefined)
    throw new HoldfastError(
      "CONFIG_VALUE",
      `${owner}: allow: ${JSON.stringify(invalid)} is no address and no network`,
      { fix: "allow: [10.0.0.0/8, 192.168.1.7]" },
    );
}

/** Origins that no browser would name would keep everybody out. @throws CONFIG_VALUE */
export function checkOrigins(owner: string, origins: readonly string[]): void {
  const origin = origins.find((each) => !isOrigin(each));
  if (origin === undefined) return;
  throw new HoldfastError(
    "CONFIG_VALUE",
    `${owner}: origins: ${JSON.stringify(origin)} is none, and no browser would name it so`,
    { fix: 'origins: ["https://panel.example"], without a path; "*" for all' },
  );
}

/** As browsers write it: scheme, host and a port that is not the scheme's own; `null` for a page without one. */
function isOrigin(text: string): boolean {
  if (text === "*" || text === "null") return true;
  if (!URL.canParse(text)) return false;
  const { protocol, host, origin } = new URL(text);
  // Of a scheme that is not the web's, as of an app's own, the standard knows no origin.
  return text === (origin === "null" ? `${protocol}//${host}` : origin);
}

/** Why one more connection is not let in; undefined while there is room. */
export function refusalOfCount(
  { connectionsMax }: { readonly connectionsMax: number },
  openCount: number,
): HoldfastError | undefined {
  if (openCount < connectionsMax) return undefined;
  const message = `${openCount} are open, limit ${connectionsMax}`;
  return new HoldfastError("CONNECTION_LIMIT", message);
}

/** Why a client with these names in its certificate is not let in; undefined where it is. */
export function refusalOfNames(
  { tls }: AccessOptions,
  names: readonly string[],
): HoldfastError | undefined {
  const { clientNames } = tls ?? {};
  if (clientNames === undefined || clientNames.some((pattern) => isNamed(pattern, names)))
    return undefined;
  return new HoldfastError(
    "CONNECTION_REFUSED",
    `its certificate names ${names.join(", ") || "nobody"}, tls.clientNames are ${clientNames.join(", ")}`,
  );
}

function isNamed(pattern: string, names: readonly string[]): boolean {
  const parts = pattern.split("*").map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  const whole = new RegExp(`^${parts.join(".*")}$`, "s");
  return names.some((name) => whole.test(name));
}

/** What a receiver tells its listening socket about access. */
export interface Access {
  readonly tls?: ServerTls;
  readonly admits?: (address: string) => boolean;
  readonly refused: (peer: string, cause: Error) => void;
}

/** What access needs to know. */
type AccessContext = Pick<
  ReceiverContext<AccessOptions>,
  "name" | "files" | "clock" | "logger" | "options"
>;

/** Access for a listening socket, with the TLS files as they are now. @throws CONFIG_VALUE */
export async function accessOf(context: AccessContext): Promise<Access> {
  const { tls, allow } = context.options;
  const warnings = new PeerWarnings(context);
  const refused = (peer: string, cause: Error): void =>
    warnings.warn(peer, `refused: ${cause.message}`, codeOf(cause));
  const ranges = allow === undefined ? undefined : new AddressRanges(allow);
  return {
    refused,
    ...(tls === undefined ? {} : { tls: await readServerTls(context, tls) }),
    ...(ranges === undefined
      ? {}
      : {
          admits(address) {
            const isAdmitted = ranges.has(address);
            if (!isAdmitted)
              refused(address, new HoldfastError("CONNECTION_REFUSED", "it is not in `allow`"));
            return isAdmitted;
          },
        }),
  };
}

/** The files of a listener as they are now. @throws CONFIG_VALUE */
async function readServerTls(
  { name: owner, files, clock, logger }: AccessContext,
  { cert: certPath, key: keyPath, clientCa }: TlsListenOptions,
): Promise<ServerTls> {
  const read = (name: string, path: string): Promise<PemFile> =>
    readPem(owner, files, { name, path });
  const cert = await read("cert", certPath);
  const key = await read("key", keyPath);
  const fault = validityOf(checkPair(cert, key), clock.wallMs());
  // No reason to stay closed: the clock of this machine may be what is wrong.
  if (fault !== undefined)
    logger.warn(`${cert.name}: ${certPath} ${fault}, clients will not accept it`);
  if (clientCa === undefined) return { cert: cert.bytes, key: key.bytes };
  const ca = await read("clientCa", clientCa);
  certificatesOf(ca);
  return { cert: cert.bytes, key: key.bytes, clientCa: ca.bytes };
}

function validityOf({ validFrom, validTo }: X509Certificate, nowMs: number): string | undefined {
  if (Date.parse(validTo) < nowMs) return `was valid until ${validTo}`;
  return Date.parse(validFrom) > nowMs ? `is not valid before ${validFrom}` : undefined;
}
