/**
 * Puts the snippet on the demo shop: /demo/shop.html?key=pk_…
 *
 * A real shop writes the tag into its page; this one takes the site key from the address, so that
 * one page serves every site.
 */
const state = document.getElementById("state")!;
const key = new URLSearchParams(location.search).get("key");

if (key) {
  follow();
  const script = document.createElement("script");
  script.src = "/snippet/proofgraph.js";
  script.async = true;
  script.dataset.siteKey = key;
  script.onerror = () => tell("The snippet could not be loaded.");
  document.head.append(script);
} else {
  tell("No site key: add ?key=pk_… to the address.");
}

function follow(): void {
  let shown = 0;
  tell("Connecting…");
  document.addEventListener("proofgraph:ready", () => tell("Connected. Waiting for an order."));
  document.addEventListener("proofgraph:shown", () => {
    shown += 1;
    tell(`Connected. ${shown} shown on this page.`);
  });
}

function tell(text: string): void {
  state.textContent = text;
}

export {};
