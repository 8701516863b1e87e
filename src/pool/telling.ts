/**
 * How pools and breakers tell what happened: in order, and never in the middle of a change.
 */

/** An event without the name of whoever tells it. */
type Told<E, Name extends PropertyKey> = E extends object ? Omit<E, Name> : never;

/** Tells one event. Never throws. */
export type Tell<E, Name extends PropertyKey> = (event: Told<E, Name>) => void;

/** Nobody listens: nothing is told. */
export const nobody = (): void => undefined;

/** Events go out in microtasks, which keep their order: a listener that closes a pool finds it between two turns. */
export function telling<E extends object, Name extends PropertyKey>(
  name: Readonly<Record<Name, string>>,
  onEvent: (event: E) => void,
): Tell<E, Name> {
  if (onEvent === nobody) return nobody;
  return (event) =>
    queueMicrotask(() => {
      try {
        // With the name it is whole again.
        onEvent({ ...name, ...event } as unknown as E);
      } catch {
        // There is nobody left to tell: whoever would hear of it is who threw.
      }
    });
}
