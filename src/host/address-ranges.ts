/**
 * Ranges of network addresses, as an allow-list of peers has them.
 */
import { BlockList, isIP } from "node:net";

/** Addresses, or networks as `10.0.0.0/8` and `fd00::/8`. */
export class AddressRanges {
  readonly #list = new BlockList();
  /** The first text that is neither an address nor a network, if there is one. */
  readonly invalid: string | undefined;

  constructor(ranges: readonly string[]) {
    this.invalid = ranges.find((range) => !this.#add(range));
  }

  /** An IPv4 peer of a socket that takes both is found as itself. */
  has(address: string): boolean {
    const plain =
      address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
    const family = isIP(plain);
    return family !== 0 && this.#list.check(plain, family === 6 ? "ipv6" : "ipv4");
  }

  #add(range: string): boolean {
    const [address = "", length, ...rest] = range.split("/");
    const family = isIP(address);
    if (family === 0 || rest.length > 0) return false;
    const kind = family === 6 ? "ipv6" : "ipv4";
    if (length === undefined) {
      this.#list.addAddress(address, kind);
      return true;
    }
    const bits = Number(length);
    if (!/^\d{1,3}$/.test(length) || bits > (family === 6 ? 128 : 32)) return false;
    this.#list.addSubnet(address, bits, kind);
    return true;
  }
}
