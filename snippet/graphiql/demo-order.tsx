/** The button "Send a demo order", shown while the open tab subscribes to claims. */
import { useGraphiQL } from "@graphiql/react";
import { useEffect, useState } from "react";
import { rememberDefault } from "./autofill";

export function DemoOrder() {
  const query = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.query ?? "");
  const [siteKey, setSiteKey] = useState<string>();
  const [result, setResult] = useState("");
  const subscribes = query.includes("liveNotifications");

  useEffect(() => {
    if (subscribes) void demoSiteKey().then(setSiteKey);
  }, [subscribes]);

  if (!subscribes || !siteKey) return null;
  return (
    <div className="demo-order">
      <button
        type="button"
        className="graphiql-button"
        onClick={() => {
          setResult("Sending…");
          void sendDemoOrder().then(setResult);
        }}
      >
        Send a demo order
      </button>
      <span>
        Site key of the demo shop: <code>{siteKey}</code>
      </span>
      <span role="status">{result}</span>
    </div>
  );
}

/** Returns the demo shop's site key, and fills empty ones with it; `undefined` without a demo. */
async function demoSiteKey(): Promise<string | undefined> {
  try {
    // Only a local stack has this address; a deployment answers 404.
    const response = await fetch("/demo/status");
    if (!response.ok) return undefined;
    const { demo } = (await response.json()) as { demo: { siteKey: string } | null };
    if (demo) rememberDefault("siteKey", demo.siteKey);
    return demo?.siteKey;
  } catch {
    return undefined;
  }
}

/** Sends the order and returns the text to show. */
async function sendDemoOrder(): Promise<string> {
  try {
    const response = await fetch("/demo/order", { method: "POST" });
    const body = await response.json();
    if (response.status !== 202) return `The order was not sent: ${body.error.message}`;
    return `Order ${body.orderId} sent to the demo shop.`;
  } catch {
    return "The order was not sent: the server does not answer.";
  }
}
