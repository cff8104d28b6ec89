/**
 * The visitor's clock, corrected by ours.
 *
 * Phones and PCs run hours off more often than one thinks; an age read from such a clock would be a
 * lie. A cursor begins with the millisecond its claim was published at, and a claim can't arrive
 * before that: the largest lead seen is the visitor's error. The first claim of a page is always a
 * live one, so the measure is good from the start.
 */

/** Below this the difference is as likely the network's as the clock's. */
const TRUSTED_MS = 60_000;

/** Before this nothing was published: a smaller number is a cursor of another kind. */
const FIRST_CLAIM_MS = 1.7e12;

let lead: number | undefined;

/** Learn from a claim that has just arrived. */
export function learn(cursor: string): void {
  const published = parseInt(cursor);
  const seen = published - Date.now();
  if (published > FIRST_CLAIM_MS && (lead === undefined || seen > lead)) lead = seen;
}

/** Milliseconds since 1970, as near to the truth as this page knows it. */
export function now(): number {
  return Date.now() + (Math.abs(lead ?? 0) > TRUSTED_MS ? lead! : 0);
}
