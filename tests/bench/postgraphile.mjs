// The PostGraphile peer of bench-graph: `node postgraphile.mjs`, configured by the environment.
//
//   MODULES          folder whose node_modules hold postgraphile
//   PORT             port on loopback
//   DATABASE_URL     PostgreSQL as the app's role, so that row-level security applies
//   ACCOUNTS VIEWER  the viewer, set for each request's transaction
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { MODULES, PORT, DATABASE_URL, ACCOUNTS, VIEWER } = process.env;
const { postgraphile } = createRequire(`${MODULES}/package.json`)("postgraphile");

const handler = postgraphile(DATABASE_URL, "public", {
  pgSettings: { "proofgraph.accounts": ACCOUNTS, "proofgraph.user": VIEWER },
  dynamicJson: true,
  ignoreRBAC: false,
  disableQueryLog: true,
  retryOnInitFail: false,
});
createServer((request, response) =>
  request.url === "/ready" ? response.end("ok") : handler(request, response),
).listen(Number(PORT), "127.0.0.1");
