/**
 * PEM files, looked at before TLS takes them: OpenSSL's words name neither the file nor the mistake, and of a file of
 * authorities it takes what it understands and leaves the rest out without a word. Pure.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { HoldfastError, toError } from "./errors.ts";

/** A file as it was read. `name` is its option, for messages: `meters: tls.cert`. */
export interface PemFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: Uint8Array;
}

const CERTIFICATE = /-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----.*?-----END \1?CERTIFICATE-----/gs;

/** The certificates of a file, at least one. @throws CONFIG_VALUE */
export function certificatesOf(file: PemFile): readonly [X509Certificate, ...X509Certificate[]] {
  const text = textOf(file);
  const [first, ...others] = (text.match(CERTIFICATE) ?? []).map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw wrong(file, `cannot be read: certificate ${index + 1}: ${toError(cause).message}`);
    }
  });
  if (first !== undefined) return [first, ...others];
  throw wrong(file, `holds no certificate${text.includes("PRIVATE KEY-----") ? " but a key" : ""}`);
}

/** Checks that a key belongs to a certificate, which is the first of its file. @throws CONFIG_VALUE */
export function checkPair(cert: PemFile, key: PemFile): X509Certificate {
  const [certificate] = certificatesOf(cert);
  if (certificate.checkPrivateKey(keyOf(key))) return certificate;
  throw wrong(key, `is not the key of the certificate in ${cert.path}`, {
    fix: "put both files of one renewal there, then holdfast units restart",
  });
}

function keyOf(file: PemFile): KeyObject {
  const text = textOf(file);
  if (text.includes("ENCRYPTED"))
    throw wrong(file, "is encrypted, and nobody is there to type its passphrase", {
      fix: `openssl pkey -in ${file.path} -out FILE`,
    });
  if (!text.includes("PRIVATE KEY-----"))
    throw wrong(
      file,
      `holds no private key${text.includes("CERTIFICATE-----") ? " but a certificate" : ""}`,
    );
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw wrong(file, `cannot be read: ${toError(cause).message}`);
  }
}

function textOf({ bytes }: PemFile): string {
  return Buffer.from(bytes).toString("latin1");
}

function wrong(
  { name, path }: PemFile,
  why: string,
  { fix = "PEM files begin with -----BEGIN" }: { readonly fix?: string } = {},
): HoldfastError {
  return new HoldfastError("CONFIG_VALUE", `${name}: ${path} ${why}`, { fix });
}
