/** Serves Apollo Server over node:http: /graphql and /healthz, JSON bodies of at most 1 MiB. */
import { HeaderMap } from "@apollo/server";

const MAX_BODY_BYTES = 1024 * 1024;

/** Handles one HTTP request; `context` maps its headers to the GraphQL context. */
export async function handleRequest(server, request, response, context) {
  const { pathname, search } = new URL(request.url, "http://gateway");
  if (pathname === "/healthz") return response.end("ok");
  if (pathname !== "/graphql") return sendError(response, 404, "No such path; send GraphQL requests to /graphql.");
  const text = await readBody(request);
  if (text === null) return sendError(response, 413, "The request body must be at most 1 MiB.");
  const body = parseJson(text);
  if (body === null) return sendError(response, 400, "The request body must be JSON.");
  const headers = new HeaderMap(Object.entries(request.headers));
  const result = await server.executeHTTPGraphQLRequest({
    httpGraphQLRequest: { method: request.method, headers, search, body },
    context: async () => context(request.headers),
  });
  response.writeHead(result.status ?? 200, Object.fromEntries(result.headers));
  return response.end(result.body.string);
}

/** Returns the body, or null if it is too long. Reads to its end, so that the client gets the 413. */
async function readBody(request) {
  let size = 0;
  const chunks = [];
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size <= MAX_BODY_BYTES ? Buffer.concat(chunks).toString() : null;
}

/** Returns the parsed body, undefined if it is empty (a GET), or null if it is not JSON. */
function parseJson(text) {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function sendError(response, status, message) {
  const errors = [{ message, extensions: { code: "BAD_USER_INPUT" } }];
  response.writeHead(status, { "content-type": "application/json" });
  return response.end(JSON.stringify({ errors }));
}
