/**
 * Node's reasons why a connection is not to be had, as ours.
 */
import { HoldfastError, toError } from "../errors.ts";

/** Node's and OpenSSL's names for: one side does not accept the other's certificate. */
const UNTRUSTED =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|ERR_TLS_CERT_|ERR_SSL_\w*(CERTIFICATE|UNKNOWN_CA))/;

/** CONNECTION_UNTRUSTED where a certificate was not accepted, CONNECTION_FAILED otherwise; `name` says with whom, "" nothing. */
export function connectionError(name: string, cause: Error): HoldfastError {
  if (cause instanceof HoldfastError) return cause;
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const message = name === "" ? textOf(cause) : `${name}: ${textOf(cause)}`;
  if (UNTRUSTED.test(code))
    return new HoldfastError("CONNECTION_UNTRUSTED", `${message} (${code})`, {
      cause,
      fix: "check tls.ca, tls.cert and tls.servername, the server's certificate, and this machine's clock",
    });
  return new HoldfastError("CONNECTION_FAILED", message, { cause });
}

/**
 * Several addresses of one name fail as one error without a text; OpenSSL's texts have numbers and places in its sources
 * around the reason.
 */
function textOf(cause: Error): string {
  if ("reason" in cause && "library" in cause && typeof cause.reason === "string")
    return `TLS handshake: ${cause.reason}`;
  if (!(cause instanceof AggregateError)) return cause.message;
  return cause.errors.map((each) => toError(each).message).join(", ");
}
