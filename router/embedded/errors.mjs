/** Errors of the embedded gateway, told as the router tells them (router/rhai/main.rhai). */
import { GraphQLError } from "graphql";

const UNAVAILABLE = "A part of Proofgraph is not answering; try again in a moment.";
const SUBSCRIBE = "Subscribe by WebSocket, or send `Accept: text/event-stream`.";

const CODES = {
  GRAPHQL_PARSE_FAILED: "PARSING_ERROR",
  INTERNAL_SERVER_ERROR: "UNAVAILABLE",
  DOWNSTREAM_SERVICE_ERROR: "UNAVAILABLE",
  BAD_REQUEST: "BAD_USER_INPUT",
};

/** Keeps the code, and the id of a masked error; a part that is down is told in our words. */
export function formatError({ message, locations, path, extensions }) {
  const { code: given, errorId } = extensions;
  const code = CODES[given] ?? given;
  const told = code === "UNAVAILABLE" && code !== given ? UNAVAILABLE : message;
  return { message: told, locations, path, extensions: { code, errorId } };
}

/** What the gateway would call a fault of its own, although it is the request's. */
export const refusals = {
  requestDidStart: async () => ({
    didResolveOperation: async ({ request, operation }) => {
      if (!operation) throw refusal(`There is no operation "${request.operationName ?? ""}".`, 400);
      if (operation.operation === "subscription") throw refusal(SUBSCRIBE, 406);
    },
  }),
};

function refusal(message, status) {
  return new GraphQLError(message, { extensions: { code: "BAD_USER_INPUT", http: { status } } });
}
