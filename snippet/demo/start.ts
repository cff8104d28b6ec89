/** The start page of the local stack: what runs, the addresses, the demo log-in, a demo order. */
import { ClaimSubscription } from "./claims";

const REFRESH_MS = 2_000;
const ORDERS_SHOWN = 5;

interface Status {
  parts: { name: string; state: "starting" | "ready" | "stopped" }[];
  gateway: "router" | "embedded";
  stateFolder: string;
  demo: { email: string; password: string; siteKey: string } | null;
}

/** What each part does, in the order in which they are listed. Others follow by their name alone. */
const PURPOSE: Record<string, string> = {
  envoy: "Envoy: the public port",
  router: "Apollo Router: queries",
  gateway: "Embedded gateway: queries",
  authz: "Edge authz: authentication",
  live: "Subscription gateway",
  subgraphs: "The six subgraphs",
  inbox: "Webhook receiver: orders from shops",
  ingest: "Ingest endpoint: snippet events",
  "stream-worker": "Stream worker: claims, ledger",
  celery: "Celery: webhooks, rollups",
  archiver: "Celery: archives and exports",
  beat: "Celery beat: the schedule",
  pages: "This page, the demo, GraphiQL",
  postgres: "PostgreSQL: the ledger",
  valkey: "Valkey: streams, counters",
  clickhouse: "ClickHouse: analytics",
  s3: "S3: archives and exports",
};

const GATEWAY = {
  router:
    "Apollo Router. To use the embedded gateway instead: PROOFGRAPH_GATEWAY=embedded make demo",
  embedded:
    "Embedded gateway (@apollo/gateway), with the same supergraph. For Apollo Router: make router " +
    "builds it once (15 to 25 minutes), or APOLLO_ROUTER names a binary; then start the stack again.",
};

let claims: ClaimSubscription | undefined;
let parts: Status["parts"] = [];

byId<HTMLButtonElement>("send").addEventListener("click", () => void sendOrder());
void refresh();

async function refresh(): Promise<void> {
  try {
    const response = await fetch("/demo/status");
    if (!response.ok) throw new Error(`status ${response.status}`);
    showStatus((await response.json()) as Status);
  } catch {
    showStopped();
  }
  setTimeout(() => void refresh(), REFRESH_MS);
}

function showStatus(status: Status): void {
  const { demo } = status;
  parts = status.parts.sort((a, b) => rank(a.name) - rank(b.name));
  showParts();
  byId("state-folder").textContent = status.stateFolder;
  byId("gateway").textContent = GATEWAY[status.gateway];
  byId("login").hidden = !demo;
  byId("no-login").hidden = !!demo;
  byId<HTMLButtonElement>("send").disabled = !demo;
  if (!demo) return;
  byId("email").textContent = demo.email;
  byId("password").textContent = demo.password;
  byId("site-key").textContent = demo.siteKey;
  byId<HTMLAnchorElement>("shop").href = `/demo/shop.html?key=${encodeURIComponent(demo.siteKey)}`;
  if (claims?.siteKey === demo.siteKey) return;
  claims?.close();
  claims = new ClaimSubscription(demo.siteKey);
}

/** The public port does not answer, so nothing is known of any part but that it cannot be reached. */
function showStopped(): void {
  parts = parts.map(({ name }) => ({ name, state: "stopped" }));
  showParts();
  byId("overall").textContent = "The stack does not answer. Run make demo.";
  byId("overall").dataset.state = "stopped";
  byId<HTMLButtonElement>("send").disabled = true;
}

function rank(name: string): number {
  const index = Object.keys(PURPOSE).indexOf(name);
  return index < 0 ? Number.MAX_SAFE_INTEGER : index;
}

function showParts(): void {
  const ready = parts.filter((part) => part.state === "ready").length;
  const overall = byId("overall");
  overall.textContent = `${ready} of ${parts.length} parts ready`;
  overall.dataset.state = ready === parts.length ? "ready" : "starting";
  const list = byId("parts");
  list.replaceChildren(
    ...parts.map(({ name, state }) => {
      const item = document.createElement("li");
      item.dataset.part = name;
      const [base] = name.split(".");
      item.append(
        span("name", name),
        span("purpose", PURPOSE[base!] ?? ""),
        span(`state ${state}`, state),
      );
      return item;
    }),
  );
}

async function sendOrder(): Promise<void> {
  const item = document.createElement("li");
  byId("orders").prepend(item);
  while (byId("orders").children.length > ORDERS_SHOWN) byId("orders").lastChild!.remove();
  const show = (text: string) => (item.textContent = text);
  show("Sending …");
  try {
    const response = await fetch("/demo/order", { method: "POST" });
    const accepted = performance.now();
    const body = await response.json();
    if (response.status !== 202) throw new Error(body.error.message);
    show(`Order ${body.orderId} accepted. Waiting for its claim …`);
    const claim = await claims!.claimOf(body.eventId);
    const milliseconds = Math.max(0, Math.round(claim.at - accepted));
    show(`“${claim.text}”: seen live ${milliseconds} ms after order ${body.orderId} was accepted.`);
    item.dataset.state = "seen";
  } catch (error) {
    show(`The order was not sent: ${error instanceof Error ? error.message : error}`);
    item.dataset.state = "failed";
  }
}

function span(className: string, text: string): Element {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}
