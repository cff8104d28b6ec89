/**
 * What earlier answers said, for the examples that come after: a token, a site's id, its key.
 *
 * Kept in the page alone. Only empty strings are filled, so whatever somebody typed stays.
 */

const REMEMBERED = ["token", "accountId", "siteId", "siteKey", "notificationId"];
const SITE_KEY_HEADER = "X-Proofgraph-Site-Key";

const known: Record<string, string> = {};

/** Take from an answer what later requests may need. */
export function remember(answer: unknown): void {
  if (typeof answer !== "object" || answer === null) return;
  for (const [name, value] of Object.entries(answer)) {
    if (typeof value === "string" && REMEMBERED.includes(name)) known[name] = value;
    else remember(value);
  }
}

/** The variables, with what is empty filled in. */
export function fillVariables(variables: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, fill(name, value)]),
  );
}

function fill(name: string, value: unknown): unknown {
  if (value === "") return known[name] ?? value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return fillVariables(value);
}

/** The headers, with a credential if they name none: the variables' site key, or the last token. */
export function fillHeaders(
  headers: Record<string, string>,
  variables: Record<string, unknown>,
): Record<string, string> {
  const given = new Headers(headers);
  // GraphiQL forgets headers on a reload, so the variable counts as much as the header.
  const siteKey = given.get(SITE_KEY_HEADER) || variables.siteKey;
  given.delete(SITE_KEY_HEADER);
  if (given.has("Authorization")) return Object.fromEntries(given);
  if (typeof siteKey === "string" && siteKey) given.set(SITE_KEY_HEADER, siteKey);
  else if (known.token) given.set("Authorization", `Bearer ${known.token}`);
  return Object.fromEntries(given);
}

/** The same credentials as `connection_init` takes them. */
export function connectionParams(headers: Record<string, string>): Record<string, string> {
  const given = new Headers(headers);
  const params: Record<string, string> = {};
  const siteKey = given.get(SITE_KEY_HEADER);
  const authorization = given.get("Authorization");
  if (siteKey) params.siteKey = siteKey;
  if (authorization) params.authorization = authorization;
  return params;
}
