/**
 * Shows claims, one at a time, in a corner: text nodes in a shadow root, out of the page's flow.
 *
 * A claim that waited or was replayed after a break is shown with its true age; where more wait than
 * a visitor would read, the oldest go unseen.
 */
import { age } from "./age";
import { now } from "./clock";
import { css } from "./style";

/** More than these would still be shown when nobody remembers them. */
const QUEUE_LIMIT = 5;
/** WCAG 2.2.1 as commonly read: six seconds, and longer for longer texts. */
const SHOWN_MS = 6_000;
const SHOWN_MS_PER_LETTER = 40;
/** Whoever moves the pointer off still has this long to come back. */
const RELEASED_MS = 3_000;
/** A breath between two toasts. */
const GAP_MS = 500;
const TICK_MS = 1_000;
/** How much of the toast must be on the screen to have been shown. */
const SHOWN_PART = 0.5;

export interface Claim {
  id: string;
  cursor: string;
  text: string;
  url: string | null;
  occurredAt: string;
}

export interface ToastListener {
  shown(claim: Claim): void;
  clicked(claim: Claim): void;
  dismissed(claim: Claim): void;
}

export interface Toaster {
  offer(claim: Claim): void;
  /** Show what waits, if it can be seen now. */
  proceed(): void;
}

export function toaster(closeLabel: string, listener: ToastListener): Toaster {
  const host = document.createElement("proofgraph-toast");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  // The one live region: there before its first text, or screen readers miss that.
  const live = element(root, "div", "live");
  live.setAttribute("role", "status");
  document.documentElement.append(host);

  const queue: Claim[] = [];
  let busy = false;

  function offer(claim: Claim): void {
    queue.push(claim);
    if (queue.length > QUEUE_LIMIT) queue.shift();
    proceed();
  }

  function proceed(): void {
    if (busy || document.hidden || !queue[0]) return;
    busy = true;
    // Single-page apps may have replaced all they found.
    if (!host.isConnected) document.documentElement.append(host);
    show(queue.shift()!);
  }

  function show(claim: Claim): void {
    const card = element(root, "div", "card");
    card.part.add("toast");
    element(card, "span", "mark");
    addText(card, claim);
    const when = element(card, "time");
    const close = element(card, "button", "", "×");
    close.setAttribute("aria-label", closeLabel);

    const ageNow = () => age(now() - Date.parse(claim.occurredAt));
    when.textContent = ageNow();
    live.textContent = `${claim.text}, ${when.textContent}`;

    let left = SHOWN_MS + SHOWN_MS_PER_LETTER * claim.text.length;
    const held = () => document.hidden || card.matches(":hover") || root.activeElement;
    const tick = setInterval(() => {
      if (when.textContent !== ageNow()) when.textContent = ageNow();
      if (held()) left = Math.max(left, RELEASED_MS);
      else if ((left -= TICK_MS) <= 0) end();
    }, TICK_MS);

    const sight = new IntersectionObserver(
      ([entry]) => {
        if (!entry!.isIntersecting || getComputedStyle(card).visibility !== "visible") return;
        sight.disconnect();
        listener.shown(claim);
      },
      { threshold: SHOWN_PART },
    );
    sight.observe(card);

    let cameFrom: EventTarget | null = null;
    card.addEventListener("focusin", (event) => (cameFrom ??= event.relatedTarget));
    card.addEventListener("keydown", (event) => event.key === "Escape" && dismiss());
    close.onclick = dismiss;

    // The whole card is one target, as a finger sees it; the close button alone is another.
    let clicked = false;
    card.onclick = card.onauxclick = (event) => {
      if (clicked || event.button > 1 || event.target === close) return;
      clicked = true;
      listener.clicked(claim);
    };

    function dismiss(): void {
      const focused = root.activeElement;
      end();
      if (focused) (cameFrom as HTMLElement | null)?.focus();
      listener.dismissed(claim);
    }

    function end(): void {
      clearInterval(tick);
      sight.disconnect();
      card.remove();
      live.textContent = "";
      setTimeout(() => {
        busy = false;
        proceed();
      }, GAP_MS);
    }
  }

  function addText(card: HTMLElement, claim: Claim): void {
    const address = webAddress(claim.url);
    const text = element(card, address ? "a" : "span", "text", claim.text);
    text.dir = "auto";
    if (text instanceof HTMLAnchorElement) text.href = address!;
  }

  return { offer, proceed };
}

/** The address, if following it can only open a page: no javascript:, no data:. */
function webAddress(url: string | null): string | undefined {
  try {
    const { protocol, href } = new URL(url!, location.href);
    if (url && /^https?:$/.test(protocol)) return href;
  } catch {
    // Not an address: the claim is shown without a link.
  }
  return undefined;
}

function element<K extends keyof HTMLElementTagNameMap>(
  parent: ParentNode,
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  parent.append(made);
  return made;
}
