/** Apollo Server behind a bare HTTP server: /graphql and /healthz, JSON bodies up to a limit. */
import { HeaderMap } from "@apollo/server";

const MAX_BODY = 1024 * 1024;

/** Answers one request; `context` is made from its headers. */
export async function answer(server, request, response, context) {
  const { pathname, search } = new URL(request.url, "http://gateway");
  if (pathname === "/healthz") return response.end("ok");
  if (pathname !== "/graphql") return refuse(response, 404, "There is nothing at this address.");
  const text = await read(request);
  if (text === null) return refuse(response, 413, "A request may have 1 MiB.");
  const body = parsed(text);
  if (body === null) return refuse(response, 400, "The body must be JSON.");
  const headers = new HeaderMap(Object.entries(request.headers));
  const answered = await server.executeHTTPGraphQLRequest({
    httpGraphQLRequest: { method: request.method, headers, search, body },
    context: async () => context(request.headers),
  });
  response.writeHead(answered.status ?? 200, Object.fromEntries(answered.headers));
  return response.end(answered.body.string);
}

/** The body, or null if it is too long: read to its end, since a cut connection explains nothing. */
async function read(request) {
  let size = 0;
  const chunks = [];
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY) chunks.push(chunk);
  }
  return size <= MAX_BODY ? Buffer.concat(chunks).toString() : null;
}

function parsed(text) {
  if (text === "") return undefined; // a GET
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function refuse(response, status, message) {
  const errors = [{ message, extensions: { code: "BAD_USER_INPUT" } }];
  response.writeHead(status, { "content-type": "application/json" });
  return response.end(JSON.stringify({ errors }));
}
