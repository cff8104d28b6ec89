/**
 * Tells Proofgraph what happened to a claim: in batches, at least once, under ids made here, so that
 * a repeated delivery counts once. Nothing is stored: what isn't sent when the page ends is lost.
 */
import { backOff } from "./backoff";
import { now } from "./clock";
import { newId } from "./ids";

/** Events that happen together travel together. */
const BATCH_MS = 500;
/** Ingest takes 100 events at once, and browsers 64 KiB of keepalive requests. */
const BATCH_LIMIT = 50;
/** Of a page left open while ingest is down, the latest matter. */
const QUEUE_LIMIT = 200;

export type EventType = "shown" | "clicked" | "dismissed";

export interface EventSender {
  record(type: EventType, claimId: string): void;
  /** Send at once what waits. */
  flush(): void;
  /** The page ends: hand the rest to the browser. */
  leave(): void;
}

interface ClaimEvent {
  id: string;
  type: EventType;
  claimId: string;
  occurredAt: string;
  visitorId: string;
  page: string;
}

export function eventSender(address: string, siteKey: string): EventSender {
  // Lives as long as the page, in memory alone: no cookie, no storage, no consent needed.
  const visitorId = newId(now());
  let queue: ClaimEvent[] = [];
  let inFlight: ClaimEvent[] = [];
  let failures = 0;
  let timer: number | undefined;

  const body = (events: ClaimEvent[]) => JSON.stringify({ siteKey, events });

  function record(type: EventType, claimId: string): void {
    const moment = now();
    queue.push({
      id: newId(moment),
      type,
      claimId,
      occurredAt: new Date(moment).toISOString(),
      visitorId,
      page: location.pathname,
    });
    queue = queue.slice(-QUEUE_LIMIT);
    timer ??= setTimeout(send, BATCH_MS);
  }

  async function send(): Promise<void> {
    timer = undefined;
    if (inFlight[0] || !queue[0]) return;
    inFlight = queue.slice(0, BATCH_LIMIT);
    let status = 0;
    let wait = 0;
    try {
      // A plain string travels as text/plain, which asks no preflight of another origin.
      const answer = await fetch(address, {
        method: "POST",
        body: body(inFlight),
        keepalive: true,
        credentials: "omit",
      });
      status = answer.status;
      wait = 1000 * Number(answer.headers.get("Retry-After")) || 0;
    } catch {
      // No network, or a blocker: as if the server were away.
    }
    if (!status || status === 429 || status >= 500) {
      wait += backOff(failures++);
    } else {
      // Each event has its verdict, or all were refused: neither gets better by repeating.
      if (status >= 400) console.warn(`proofgraph: events refused (${status})`);
      queue = queue.filter((event) => !inFlight.includes(event));
      failures = 0;
    }
    inFlight = [];
    if (queue[0]) timer ??= setTimeout(send, wait);
  }

  function flush(): void {
    // While the server is away, only the back-off decides.
    if (failures) return;
    clearTimeout(timer);
    void send();
  }

  function leave(): void {
    // What is in flight is kept alive by the browser.
    const rest = queue.filter((event) => !inFlight.includes(event)).slice(-BATCH_LIMIT);
    if (rest[0]) navigator.sendBeacon(address, body(rest));
  }

  return { record, flush, leave };
}
