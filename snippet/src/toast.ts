/**
 * Shows claims in a corner of the page, one at a time.
 *
 * A toast is text nodes in a shadow root and is positioned out of the page's flow. It shows the
 * claim's true age, also when the claim waited or was replayed. When more claims wait than a
 * visitor would read, the toaster drops the oldest.
 */
import { age } from "./age";
import { now } from "./clock";
import { css } from "./style";

/** With more, a visitor would still see toasts of claims from minutes ago. */
const QUEUE_LIMIT = 5;
/** WCAG 2.2.1 as commonly read: six seconds, and longer for longer texts. */
const SHOWN_MS = 6_000;
const SHOWN_MS_PER_LETTER = 40;
/** How long a toast stays at least after the pointer or the focus has left it. */
const RELEASED_MS = 3_000;
/** The pause between two toasts. */
const GAP_MS = 500;
const TICK_MS = 1_000;
/** The part of the toast that must be on the screen for the event `shown`. */
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
  enqueue(claim: Claim): void;
  /** Shows the next claim, if the page is visible and no toast is open. */
  showNext(): void;
}

export function toaster(closeLabel: string, listener: ToastListener): Toaster {
  const host = document.createElement("proofgraph-toast");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  // Screen readers announce a live region only if it exists before its first text.
  const live = element(root, "div", "live");
  live.setAttribute("role", "status");
  document.documentElement.append(host);

  const queue: Claim[] = [];
  let busy = false;

  function enqueue(claim: Claim): void {
    queue.push(claim);
    if (queue.length > QUEUE_LIMIT) queue.shift();
    showNext();
  }

  function showNext(): void {
    if (busy || document.hidden || !queue[0]) return;
    busy = true;
    // A single-page app may have replaced the whole document.
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

    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry!.isIntersecting || getComputedStyle(card).visibility !== "visible") return;
        observer.disconnect();
        listener.shown(claim);
      },
      { threshold: SHOWN_PART },
    );
    observer.observe(card);

    let focusedBefore: EventTarget | null = null;
    card.addEventListener("focusin", (event) => (focusedBefore ??= event.relatedTarget));
    card.addEventListener("keydown", (event) => event.key === "Escape" && dismiss());
    close.onclick = dismiss;

    // A click anywhere on the card counts, except on the close button.
    let clicked = false;
    card.onclick = card.onauxclick = (event) => {
      if (clicked || event.button > 1 || event.target === close) return;
      clicked = true;
      listener.clicked(claim);
    };

    function dismiss(): void {
      const focused = root.activeElement;
      end();
      if (focused) (focusedBefore as HTMLElement | null)?.focus();
      listener.dismissed(claim);
    }

    function end(): void {
      clearInterval(tick);
      observer.disconnect();
      card.remove();
      live.textContent = "";
      setTimeout(() => {
        busy = false;
        showNext();
      }, GAP_MS);
    }
  }

  function addText(card: HTMLElement, claim: Claim): void {
    const address = webAddress(claim.url);
    const text = element(card, address ? "a" : "span", "text", claim.text);
    text.dir = "auto";
    if (text instanceof HTMLAnchorElement) text.href = address!;
  }

  return { enqueue, showNext };
}

/** Returns the absolute URL if it is http(s); `undefined` for others, such as javascript: URLs. */
function webAddress(url: string | null): string | undefined {
  try {
    const { protocol, href } = new URL(url!, location.href);
    if (url && /^https?:$/.test(protocol)) return href;
  } catch {
    // Not a URL: the toast shows the claim without a link.
  }
  return undefined;
}

function element<K extends keyof HTMLElementTagNameMap>(
  parent: ParentNode,
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  parent.append(created);
  return created;
}
