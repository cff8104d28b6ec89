/**
 * Embedded gateway: serves the supergraph where no Apollo Router binary is installed.
 *
 *     ROUTER_PORT=4100 node router/gateway.mjs [supergraph.graphql]
 *
 * Serves /graphql and /healthz on loopback. Environment and limits are those of router.yaml.
 * It connects to its subgraphs and to nothing else (embedded/reporting.mjs).
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { reportingDisabled } from "./embedded/reporting.mjs"; // first: before Apollo's packages
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { ApolloServerPluginDrainHttpServer } from "@apollo/server/plugin/drainHttpServer";
import { formatError, operationErrors } from "./embedded/errors.mjs";
import { handleRequest } from "./embedded/http.mjs";

const VIEWER_HEADER = "x-proofgraph-viewer";
const MAX_TOKENS = 4000;
const SUBGRAPH_TIMEOUT_MS = 10_000;

const { ROUTER_PORT = "4100" } = process.env;
const supergraph = process.argv[2] ?? new URL("../schema/supergraph.graphql", import.meta.url);

class Subgraph extends RemoteGraphQLDataSource {
  fetcher = (url, init) => fetch(url, { ...init, signal: AbortSignal.timeout(SUBGRAPH_TIMEOUT_MS) });

  willSendRequest({ request, context }) {
    if (context.viewer) request.http.headers.set(VIEWER_HEADER, context.viewer);
  }
}

const http = createServer((request, response) =>
  handleRequest(server, request, response, (headers) => ({ viewer: headers[VIEWER_HEADER] })),
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
  plugins: [
    operationErrors,
    ...reportingDisabled,
    ApolloServerPluginDrainHttpServer({ httpServer: http }),
  ],
});

await server.start();
http.listen(Number(ROUTER_PORT), "127.0.0.1");
