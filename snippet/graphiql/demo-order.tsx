/** The button "Send a demo order", shown while the open tab subscribes to claims. */
import { useGraphiQL } from "@graphiql/react";
import { useEffect, useState } from "react";

/** `POST` sends one order to the demo shop. Only a local stack has this endpoint. */
const ENDPOINT = "/demo/order";

export function DemoOrder() {
  const query = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.query ?? "");
  const [exists, setExists] = useState(false);
  const [result, setResult] = useState("");
  const needed = query.includes("liveNotifications");

  useEffect(() => {
    if (needed) void endpointExists().then(setExists);
  }, [needed]);

  if (!needed || !exists) return null;
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
      <span role="status">{result}</span>
    </div>
  );
}

async function endpointExists(): Promise<boolean> {
  try {
    // HEAD sends no order: the endpoint answers it with 405.
    return (await fetch(ENDPOINT, { method: "HEAD" })).status !== 404;
  } catch {
    return false;
  }
}

/** Sends the order and returns the text to show. */
async function sendDemoOrder(): Promise<string> {
  try {
    const response = await fetch(ENDPOINT, { method: "POST" });
    if (response.status !== 202) return `The order was not sent: status ${response.status}.`;
    const { orderId } = (await response.json()) as { orderId: string | number };
    return `Order ${orderId} sent to the demo shop.`;
  } catch {
    return "The order was not sent: the server does not answer.";
  }
}
