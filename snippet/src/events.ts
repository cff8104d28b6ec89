/**
 * Sends notification events (`shown`, `clicked`, `dismissed`) to the ingest endpoint.
 *
 * Events travel in batches and at least once. Each event has an ID made here, so that the server
 * counts a repeated delivery once. The browser stores nothing: events that are still unsent when
 * the page ends are lost.
 */
import { backOff } from "./backoff";
import { now } from "./clock";
import { newId } from "./ids";

/** Events of the same half second share a request. */
const BATCH_MS = 500;
/** The ingest endpoint allows 100 events a request, browsers 64 KiB a keepalive request. */
const BATCH_LIMIT = 50;
/** While the ingest endpoint is down, an open page keeps the latest events. */
const QUEUE_LIMIT = 200;

export type EventType = "shown" | "clicked" | "dismissed";

export interface EventSender {
  /** Queues an event for the next batch. */
  record(type: EventType, claimId: string): void;
  /** Sends the queued events now. */
  flush(): void;
  /** Hands the queued events to the browser, which sends them after the page has ended. */
  beacon(): void;
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
  // In memory only, for this page view: no cookie and no storage, so no consent is needed.
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
      // The browser sends a string as text/plain, which needs no CORS preflight.
      const response = await fetch(address, {
        method: "POST",
        body: body(inFlight),
        keepalive: true,
        credentials: "omit",
      });
      status = response.status;
      wait = 1000 * Number(response.headers.get("Retry-After")) || 0;
    } catch {
      // The network is down or an extension blocks the request: retry as after a 5xx.
    }
    if (!status || status === 429 || status >= 500) {
      wait += backOff(failures++);
    } else {
      // 2xx: the server has judged each event. 4xx: it refused the batch. A retry changes neither.
      if (status >= 400) console.warn(`proofgraph: events refused (${status})`);
      queue = queue.filter((event) => !inFlight.includes(event));
      failures = 0;
    }
    inFlight = [];
    if (queue[0]) timer ??= setTimeout(send, wait);
  }

  function flush(): void {
    // While the server is down, only the back-off decides when to send.
    if (failures) return;
    clearTimeout(timer);
    void send();
  }

  function beacon(): void {
    // `keepalive` already covers the events in flight.
    const rest = queue.filter((event) => !inFlight.includes(event)).slice(-BATCH_LIMIT);
    if (rest[0]) navigator.sendBeacon(address, body(rest));
  }

  return { record, flush, beacon };
}
