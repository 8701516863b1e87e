/**
 * Functions of optional native packages: taken where they are installed and compute the same.
 */

/** What gives the same answers, natively or not. */
export interface Choice<Compute> {
  /** Its name in the package. */
  readonly name: string;
  /** Ours. */
  readonly own: Compute;
  /** Whether the package's gives the answers of ours. May throw, which is a no. */
  readonly agrees: (native: Compute) => boolean;
}

/**
 * The package's function, or ours.
 *
 * @param load - gives the package, or throws where it is not installed
 */
export function nativeOr<Compute>(
  load: () => unknown,
  { name, own, agrees }: Choice<Compute>,
): Compute {
  try {
    const loaded = load();
    if (typeof loaded !== "object" || loaded === null || !(name in loaded)) return own;
    // Decode boundary: it is a function or throws, and its answers are compared.
    const native = Reflect.get(loaded, name) as Compute;
    return agrees(native) ? native : own;
  } catch {
    return own;
  }
}
