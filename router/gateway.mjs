/**
 * The embedded gateway: the same graph as Apollo Router serves, where no router binary is at hand.
 *
 *     ROUTER_PORT=4100 node router/gateway.mjs [supergraph.graphql]
 *
 * Answers /graphql and /healthz on loopback. Environment and limits are those of router.yaml.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { ApolloServerPluginDrainHttpServer } from "@apollo/server/plugin/drainHttpServer";
import { formatError, refusals } from "./embedded/errors.mjs";
import { answer } from "./embedded/http.mjs";

const VIEWER = "x-proofgraph-viewer";
const MAX_TOKENS = 4000;
const SUBGRAPH_MILLISECONDS = 10_000;

const { ROUTER_PORT = "4100" } = process.env;
const supergraph = process.argv[2] ?? new URL("../schema/supergraph.graphql", import.meta.url);

class Subgraph extends RemoteGraphQLDataSource {
  fetcher = (url, init) => fetch(url, { ...init, signal: AbortSignal.timeout(SUBGRAPH_MILLISECONDS) });

  willSendRequest({ request, context }) {
    if (context.viewer) request.http.headers.set(VIEWER, context.viewer);
  }
}

const http = createServer((request, response) =>
  answer(server, request, response, (headers) => ({ viewer: headers[VIEWER] })),
);
const server = new ApolloServer({
  gateway: new ApolloGateway({
    supergraphSdl: readFileSync(supergraph, "utf8"),
    buildService: ({ name, url }) =>
      new Subgraph({ url: process.env[`${name.toUpperCase()}_URL`] ?? url }),
  }),
  introspection: true,
  persistedQueries: false,
  formatError,
  includeStacktraceInErrorResponses: false,
  parseOptions: { maxTokens: MAX_TOKENS },
  plugins: [refusals, ApolloServerPluginDrainHttpServer({ httpServer: http })],
});

await server.start();
http.listen(Number(ROUTER_PORT), "127.0.0.1");
