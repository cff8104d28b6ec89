const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/** Exponential with full jitter: a crowd that lost its server together doesn't return together. */
export function backOff(failures: number): number {
  return Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);
}
