const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/**
 * Returns the delay before the next attempt, in milliseconds: exponential, with full jitter.
 *
 * The jitter spreads the reconnections of clients that lost the server at the same moment.
 */
export function backOff(failures: number): number {
  return Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);
}
