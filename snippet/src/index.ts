/**
 * The snippet: shows a site's claims on a shop's page.
 *
 *   <script src="https://HOST/snippet/proofgraph.js" data-site-key="pk_…" async></script>
 *
 * Optional attributes: `data-endpoint` is the address of the server, if it is not the script's own
 * server. `data-close-label` is the accessible name of the close button ("Close" by default).
 *
 * The snippet dispatches these events on `document`:
 *
 *   proofgraph:ready                         connected; also after each reconnection
 *   proofgraph:disconnected                  the connection or an attempt to connect ended
 *   proofgraph:refused                       the server refused the site key; there is no retry
 *   proofgraph:received                      a claim arrived; `detail` is the claim
 *   proofgraph:shown, :clicked, :dismissed   a claim's notification event; `detail` is the claim
 */
import { calibrate } from "./clock";
import { type EventType, eventSender } from "./events";
import { subscribe } from "./subscription";
import { type Claim, toaster } from "./toast";

const QUERY =
  "subscription($k:String!,$a:String){liveNotifications(siteKey:$k,after:$a){id cursor text url occurredAt}}";

/** A tab hidden for this long disconnects. It resumes without loss when it becomes visible. */
const HIDDEN_MS = 30_000;
/** How many claim IDs the page remembers, to show a claim that arrives twice only once. */
const SEEN_LIMIT = 500;

const STARTED = Symbol.for("proofgraph");

function start(script: HTMLScriptElement, siteKey: string): void {
  const base = script.dataset.endpoint ?? new URL("..", script.src).href;
  const address = (path: string) => new URL(path, base.replace(/\/*$/, "/")).href;

  const events = eventSender(address("v1/events"), siteKey);
  const report = (type: EventType) => (claim: Claim) => {
    events.record(type, claim.id);
    dispatch(type, claim);
  };
  const clicked = report("clicked");
  const toasts = toaster(script.dataset.closeLabel ?? "Close", {
    shown: report("shown"),
    dismissed: report("dismissed"),
    clicked(claim) {
      clicked(claim);
      events.flush(); // the click may lead to another page
    },
  });

  const seen = new Set<string>();
  const claims = subscribe<Claim>(
    {
      address: address("graphql").replace(/^http/, "ws"),
      credentials: { siteKey },
      query: QUERY,
      variables: { k: siteKey },
    },
    {
      connected: () => dispatch("ready"),
      disconnected: () => dispatch("disconnected"),
      next(claim) {
        calibrate(claim.cursor);
        if (seen.has(claim.id)) return;
        if (seen.add(claim.id).size > SEEN_LIMIT) seen.delete([...seen][0]!);
        dispatch("received", claim);
        toasts.enqueue(claim);
      },
      refused() {
        console.warn("proofgraph: the server refused the site key; no claims will be shown");
        dispatch("refused");
      },
    },
  );

  let hiding: number | undefined;
  function onVisibility(): void {
    clearTimeout(hiding);
    if (document.hidden) {
      events.flush();
      hiding = setTimeout(claims.pause, HIDDEN_MS);
    } else {
      claims.resume();
      toasts.showNext();
    }
  }
  document.addEventListener("visibilitychange", onVisibility);
  // Browsers keep no page with an open connection in the back/forward cache.
  addEventListener("pagehide", () => {
    claims.pause();
    events.beacon();
  });
  addEventListener("pageshow", (event) => event.persisted && onVisibility());
  addEventListener("offline", claims.pause);
  addEventListener("online", onVisibility);
  // Prerendered and background tabs are hidden: they connect once they are visible.
  if (!document.hidden) onVisibility();
}

function dispatch(name: string, detail?: Claim): void {
  document.dispatchEvent(new CustomEvent(`proofgraph:${name}`, { detail }));
}

const script = (document.currentScript ??
  document.querySelector("script[data-site-key]")) as HTMLScriptElement | null;
const siteKey = script?.dataset.siteKey;

if (!script || !siteKey) console.warn("proofgraph: the script tag has no data-site-key");
// Browsers from before 2023 lack adoptedStyleSheets: they show the shop without claims.
else if (!(STARTED in document) && "adoptedStyleSheets" in document) {
  Object.defineProperty(document, STARTED, { value: true });
  start(script, siteKey);
}
