/**
 * The current time, corrected for a visitor's wrong clock.
 *
 * Visitors' clocks are often wrong by hours, and the age of a claim would be wrong with them. A
 * cursor begins with the millisecond at which the server published the claim. A claim cannot arrive
 * before that, so the largest difference seen is nearest to the error of the clock. The first claim
 * of a page is never a replayed one, so the measurement is good from the first claim on.
 */

/** Below this, network latency explains the difference as well as a wrong clock does. */
const MIN_CORRECTION_MS = 60_000;

/** Earlier than any publication: a smaller number is not a timestamp. */
const MIN_TIMESTAMP_MS = 1.7e12;

let offset: number | undefined;

/** Measures the error of the visitor's clock by the cursor of a claim that has just arrived. */
export function calibrate(cursor: string): void {
  const published = parseInt(cursor);
  const measured = published - Date.now();
  if (published > MIN_TIMESTAMP_MS && (offset === undefined || measured > offset))
    offset = measured;
}

/** Returns the corrected time, in milliseconds since 1970. */
export function now(): number {
  return Date.now() + (Math.abs(offset ?? 0) > MIN_CORRECTION_MS ? offset! : 0);
}
