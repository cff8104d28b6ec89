/**
 * Loads the snippet on the demo shop, /demo/shop.html?key=pk_…, and shows the connection's state.
 *
 * A real shop writes the script tag into its page. This page takes the site key from its address,
 * so that one page serves every site.
 */
const BADGES = {
  connecting: "Connecting…",
  connected: "Connected",
  disconnected: "Disconnected",
  refused: "Key refused",
  keyMissing: "No site key",
  notLoaded: "Not loaded",
};
type State = keyof typeof BADGES;

const TEXTS: Record<State, string> = {
  connecting: "Connecting…",
  connected: "Connected. The claim of the next order appears in the corner.",
  disconnected:
    "Disconnected. Retrying until the server answers; `make up` starts a stopped stack.",
  refused:
    "The server refused the site key in this address. " +
    "It may be mistyped or revoked, or belong to another shop's domain.",
  keyMissing: "The address of this page has no site key.",
  notLoaded:
    "The snippet could not be loaded. `make up` starts a stopped stack; then reload this page.",
};

const badge = document.getElementById("badge")!;
const details = document.getElementById("state")!;
const key = new URLSearchParams(location.search).get("key");

if (key) {
  showConnection();
  const script = document.createElement("script");
  script.src = "/snippet/proofgraph.js";
  script.async = true;
  script.dataset.siteKey = key;
  script.onerror = () => show("notLoaded");
  document.head.append(script);
} else {
  show("keyMissing");
}

function showConnection(): void {
  let shown = 0;
  const connectedText = () =>
    shown ? `Connected. Claims shown on this page: ${shown}.` : TEXTS.connected;
  show("connecting");
  on("ready", () => show("connected", connectedText()));
  on("disconnected", () => show("disconnected"));
  on("refused", () => show("refused"));
  on("shown", () => {
    shown += 1;
    // A claim that waited may be shown while the page is disconnected.
    if (details.dataset.state === "connected") show("connected", connectedText());
  });
}

function on(name: string, listener: () => void): void {
  document.addEventListener(`proofgraph:${name}`, listener);
}

function show(state: State, text = TEXTS[state]): void {
  badge.dataset.state = details.dataset.state = state;
  badge.textContent = BADGES[state];
  details.textContent = text;
  document.getElementById("key-help")!.hidden = state !== "refused" && state !== "keyMissing";
}

export {};
