/** The list of a site's latest events, newest first, in words. */

export interface ActivityEvent {
  type: string;
  occurredAt: string;
  claimId: string | null;
  text: string | null;
}

const LENGTH_LIMIT = 40;

const TITLES: Record<string, string> = {
  "order.created": "Order received",
  "claim.published": "Claim published",
  "claim.shown": "Claim shown to a visitor",
  "claim.clicked": "Claim clicked by a visitor",
  "claim.dismissed": "Claim closed by a visitor",
  "claim.converted": "Order attributed to a claim",
  "claim.withheld": "Claim withheld from a visitor",
  "claim.retracted": "Claim retracted",
};

/**
 * Adds events to the list, each at the place that its time gives it.
 *
 * Of two events with the same time, the later one in `events` goes on top.
 *
 * @param events Oldest first, as the subscription `siteActivity` sends them.
 */
export function addToFeed(list: HTMLElement, events: ActivityEvent[]): void {
  for (const event of events) {
    const next = [...list.children].find((row) => timeOf(row) <= Date.parse(event.occurredAt));
    list.insertBefore(feedRow(event), next ?? null);
  }
  while (list.children.length > LENGTH_LIMIT) list.lastChild!.remove();
}

function timeOf(row: Element): number {
  return Date.parse(row.querySelector("time")!.dateTime);
}

function feedRow(event: ActivityEvent): Element {
  const row = document.createElement("li");
  row.className = event.type.replace(".", "-");
  const time = document.createElement("time");
  time.dateTime = event.occurredAt;
  time.textContent = formatTime(new Date(event.occurredAt));
  row.append(span("title", TITLES[event.type] ?? event.type), time, span("text", describe(event)));
  return row;
}

function describe({ type, text }: ActivityEvent): string {
  if (text) return text;
  if (type === "order.created") return "A customer placed an order.";
  return "The text of this claim is not available.";
}

/** The time of an event of today; the date as well for older ones. */
function formatTime(at: Date): string {
  if (at.toDateString() === new Date().toDateString()) return at.toLocaleTimeString();
  return at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

function span(className: string, text: string): Element {
  const created = document.createElement("span");
  created.className = className;
  created.textContent = text;
  return created;
}
