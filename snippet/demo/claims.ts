/** The claims of a site as a subscriber receives them, by the id of the order's source event. */
import { createClient, type Client } from "graphql-ws";

const QUERY = `
  subscription Claims($siteKey: String!) {
    liveNotifications(siteKey: $siteKey, after: "0-0") { text sourceEventIds }
  }`;

export interface Arrival {
  text: string;
  /** By `performance.now()`. */
  at: number;
}

interface Result {
  liveNotifications: { text: string; sourceEventIds: string[] };
}

/**
 * A subscription that lasts as long as the page. It begins with the claims that the live channel
 * still buffers, so it misses none, however late it connects.
 */
export class ClaimSubscription {
  private readonly client: Client;
  private readonly arrivals = new Map<string, Arrival>();
  private readonly waiting = new Map<string, (arrival: Arrival) => void>();

  constructor(readonly siteKey: string) {
    this.client = createClient({
      url: new URL("/graphql", location.href).href.replace(/^http/, "ws"),
      connectionParams: { siteKey },
      retryAttempts: Infinity,
      shouldRetry: () => true,
    });
    this.client.subscribe<Result>(
      { query: QUERY, variables: { siteKey } },
      {
        next: ({ data }) => data && this.add(data.liveNotifications),
        error: (error) => console.error("The subscription failed", error),
        complete: () => undefined,
      },
    );
  }

  /** The claim about a source event, as soon as it arrives. */
  claimOf(eventId: string): Promise<Arrival> {
    const arrival = this.arrivals.get(eventId);
    if (arrival) return Promise.resolve(arrival);
    return new Promise((resolve) => this.waiting.set(eventId, resolve));
  }

  close(): void {
    void this.client.dispose();
  }

  private add({ text, sourceEventIds }: Result["liveNotifications"]): void {
    const arrival = { text, at: performance.now() };
    for (const id of sourceEventIds) {
      if (this.arrivals.has(id)) continue; // a reconnect repeats the buffer
      this.arrivals.set(id, arrival);
      this.waiting.get(id)?.(arrival);
      this.waiting.delete(id);
    }
  }
}
