// The PostGraphile peer of bench-graph: `node postgraphile.mjs`, configured by the environment.
//
//   MODULES         folder whose node_modules hold postgraphile and pg
//   PORT            port on loopback
//   DATABASE_URL    PostgreSQL as the app's role, so that row-level security applies
//   ACCOUNTS VIEWER the viewer, set for each request's transaction
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { MODULES, PORT, DATABASE_URL, ACCOUNTS, VIEWER } = process.env;
const require = createRequire(`${MODULES}/package.json`);
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);

const { postgraphile } = await load("postgraphile");
const { PostGraphileAmberPreset } = await load("postgraphile/presets/amber");
const { makePgService } = await load("postgraphile/adaptors/pg");
const { grafserv } = await load("postgraphile/grafserv/node");

const server = createServer();
const pgl = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString: DATABASE_URL, schemas: ["public"] })],
  grafserv: { port: Number(PORT), graphiql: false, websockets: false },
  grafast: {
    explain: false,
    context: () => ({
      pgSettings: { "proofgraph.accounts": ACCOUNTS, "proofgraph.user": VIEWER },
    }),
  },
});
const serv = pgl.createServ(grafserv);
await serv.addTo(server);
server.listen(Number(PORT), "127.0.0.1");
