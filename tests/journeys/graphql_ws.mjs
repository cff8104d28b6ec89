// Prints the first answer of a subscription: node graphql_ws.mjs URL SITE_KEY QUERY
import { createRequire } from "node:module";

// It is the snippet's development packages that have the client, and a WebSocket for Node 20.
const require = createRequire(new URL("../../snippet/package.json", import.meta.url));
const { createClient } = require("graphql-ws");
const [url, siteKey, query] = process.argv.slice(2);

const client = createClient({
  url: url.replace(/^http/, "ws") + "/graphql",
  webSocketImpl: globalThis.WebSocket ?? require("ws"),
  connectionParams: { siteKey },
  retryAttempts: 0,
});
for await (const answer of client.iterate({ query, variables: { key: siteKey, after: "0-0" } })) {
  console.log(JSON.stringify(answer.data));
  break;
}
await client.dispose();
process.exit(0);
