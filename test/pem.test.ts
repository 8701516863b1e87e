import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { test } from "node:test";
import { certificatesOf, checkPair, type PemFile } from "../src/pem.ts";
import { tlsFile } from "./support/tls-files.ts";

const CERT = tlsFile("first", "cert");
const KEY = tlsFile("first", "key");
const LOCKED = createPrivateKey(KEY).export({
  type: "pkcs8",
  format: "pem",
  cipher: "aes-256-cbc",
  passphrase: "x",
});
const BROKEN = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

const file = (kind: "cert" | "key" | "ca", ...parts: readonly (Buffer | string)[]): PemFile => ({
  name: `meters: tls.${kind}`,
  path: `${kind}.pem`,
  bytes: Buffer.concat(parts.map((part) => Buffer.from(part))),
});

test("pem: a certificate and its key, alone, with a chain, and both in one file", () => {
  const chain = tlsFile("second", "cert");
  for (const [cert, key] of [
    [file("cert", CERT), file("key", KEY)],
    [file("cert", CERT, chain), file("key", KEY)],
    [file("cert", "text before\n", CERT, KEY), file("key", CERT, KEY)],
  ] as const)
    assert.ok(checkPair(cert, key).validTo.endsWith("GMT"));
  assert.equal(certificatesOf(file("ca", CERT, chain)).length, 2);
});

test("pem: what is wrong is told with the option and the file, and of a key nothing is shown", () => {
  const key = file("key", KEY);
  const cert = file("cert", CERT);
  for (const [check, message] of [
    [
      () => checkPair(file("cert", KEY), key),
      /^meters: tls.cert: cert.pem holds no certificate but a key$/,
    ],
    [() => checkPair(file("cert"), key), /^meters: tls.cert: cert.pem holds no certificate$/],
    [
      () => checkPair(cert, file("key", CERT)),
      /tls.key: key.pem holds no private key but a certificate$/,
    ],
    [() => checkPair(cert, file("key", "garbage")), /tls.key: key.pem holds no private key$/],
    [
      () => checkPair(cert, file("key", LOCKED)),
      /tls.key: key.pem is encrypted, and nobody is there/,
    ],
    [
      () =>
        checkPair(
          cert,
          file("key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"),
        ),
      /tls.key: key.pem cannot be read: /,
    ],
    [
      () => checkPair(cert, file("key", tlsFile("second", "key"))),
      /tls.key: key.pem is not the key of the certificate in cert.pem$/,
    ],
    // TLS would take the first and leave the second out without a word.
    [() => certificatesOf(file("ca", CERT, BROKEN)), /ca.pem cannot be read: certificate 2: /],
    [() => certificatesOf(file("ca", "garbage")), /tls.ca: ca.pem holds no certificate$/],
  ] as const)
    assert.throws(check, { code: "CONFIG_VALUE", message });
  assert.throws(() => checkPair(cert, file("key", tlsFile("second", "key"))), {
    fix: /both files of one renewal/,
  });
});
