/**
 * Proofgraph on a shop's page:
 *
 *   <script src="https://HOST/snippet/proofgraph.js" data-site-key="pk_…" async></script>
 *
 * data-endpoint names another server than the script's own; data-close-label the words a screen
 * reader says for the close button. Developers may listen on `document` for proofgraph:ready,
 * :received, :shown, :clicked and :dismissed; all but the first carry the claim in `detail`.
 */
import { learn } from "./clock";
import { type EventType, eventSender } from "./events";
import { follow } from "./socket";
import { type Claim, toaster } from "./toast";

const QUERY =
  "subscription($k:String!,$a:String){liveNotifications(siteKey:$k,after:$a){id cursor text url occurredAt}}";

/** A tab out of sight this long gives its connection back; it resumes without loss. */
const HIDDEN_MS = 30_000;
/** A claim is shown once per page, however often it arrives; so many are remembered. */
const REMEMBERED = 500;

const ONCE = Symbol.for("proofgraph");

function start(script: HTMLScriptElement, siteKey: string): void {
  const base = script.dataset.endpoint ?? new URL("..", script.src).href;
  const address = (path: string) => new URL(path, base.replace(/\/*$/, "/")).href;

  const events = eventSender(address("v1/events"), siteKey);
  const report = (type: EventType) => (claim: Claim) => {
    events.record(type, claim.id);
    tell(type, claim);
  };
  const clicked = report("clicked");
  const toasts = toaster(script.dataset.closeLabel ?? "Close", {
    shown: report("shown"),
    dismissed: report("dismissed"),
    clicked(claim) {
      clicked(claim);
      events.flush(); // the page may be about to go
    },
  });

  const seen = new Set<string>();
  const claims = follow<Claim>(
    {
      address: address("graphql").replace(/^http/, "ws"),
      credentials: { siteKey },
      query: QUERY,
      variables: { k: siteKey },
    },
    {
      ready: () => tell("ready"),
      next(claim) {
        learn(claim.cursor);
        if (seen.has(claim.id)) return;
        if (seen.add(claim.id).size > REMEMBERED) seen.delete([...seen][0]!);
        tell("received", claim);
        toasts.offer(claim);
      },
      refused: () => console.warn("proofgraph: the site key was refused, nothing will be shown"),
    },
  );

  let hiding: number | undefined;
  function appear(): void {
    clearTimeout(hiding);
    if (document.hidden) {
      events.flush();
      hiding = setTimeout(claims.pause, HIDDEN_MS);
    } else {
      claims.resume();
      toasts.proceed();
    }
  }
  document.addEventListener("visibilitychange", appear);
  // An open connection would keep the page out of the back/forward cache.
  addEventListener("pagehide", () => {
    claims.pause();
    events.leave();
  });
  addEventListener("pageshow", (event) => event.persisted && appear());
  addEventListener("offline", claims.pause);
  addEventListener("online", appear);
  // Prerendered and background tabs are hidden: they connect when somebody looks.
  if (!document.hidden) appear();
}

function tell(what: string, detail?: Claim): void {
  document.dispatchEvent(new CustomEvent(`proofgraph:${what}`, { detail }));
}

const script = (document.currentScript ??
  document.querySelector("script[data-site-key]")) as HTMLScriptElement | null;
const siteKey = script?.dataset.siteKey;

if (!script || !siteKey) console.warn("proofgraph: the script tag has no data-site-key");
// Browsers before 2023 lack these sheets: they see the shop as it is without us.
else if (!(ONCE in document) && "adoptedStyleSheets" in document) {
  Object.defineProperty(document, ONCE, { value: true });
  start(script, siteKey);
}
