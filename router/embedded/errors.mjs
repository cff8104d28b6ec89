/** Errors of the embedded gateway, with the codes and messages of router/rhai/main.rhai. */
import { GraphQLError } from "graphql";

const UNAVAILABLE = "A subgraph does not answer; send the request again in a few seconds.";
const SUBSCRIBE = "Subscriptions need a WebSocket, or the header `Accept: text/event-stream`.";

const CODES = {
  GRAPHQL_PARSE_FAILED: "PARSING_ERROR",
  INTERNAL_SERVER_ERROR: "UNAVAILABLE",
  DOWNSTREAM_SERVICE_ERROR: "UNAVAILABLE",
  BAD_REQUEST: "BAD_USER_INPUT",
};

/** Returns the error with its code and the ID of a masked error; rewrites unreachable subgraphs. */
export function formatError({ message, locations, path, extensions }) {
  const { code: given, errorId } = extensions;
  const code = CODES[given] ?? given;
  const unreachable = code === "UNAVAILABLE" && code !== given;
  return { message: unreachable ? UNAVAILABLE : message, locations, path, extensions: { code, errorId } };
}

/** Apollo Server plugin: client errors that the gateway would report as its own failure. */
export const operationErrors = {
  requestDidStart: async () => ({
    didResolveOperation: async ({ request, operation }) => {
      if (!operation) throw badUserInput(unknownOperation(request.operationName), 400);
      if (operation.operation === "subscription") throw badUserInput(SUBSCRIBE, 406);
    },
  }),
};

function unknownOperation(name) {
  return `\`operationName\` is "${name ?? ""}"; it must name an operation of the document.`;
}

function badUserInput(message, status) {
  return new GraphQLError(message, { extensions: { code: "BAD_USER_INPUT", http: { status } } });
}
