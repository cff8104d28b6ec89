/**
 * Fills the examples' empty variables and headers with values of earlier responses.
 *
 * The values live in memory, until the page is reloaded. Only empty strings are filled, so that
 * everything the user typed stays.
 */

const REMEMBERED = ["token", "accountId", "siteId", "siteKey", "notificationId"];
const SITE_KEY_HEADER = "X-Proofgraph-Site-Key";

const remembered: Record<string, string> = {};

/** Takes the values that later requests may need from a response. */
export function remember(response: unknown): void {
  if (typeof response !== "object" || response === null) return;
  for (const [name, value] of Object.entries(response)) {
    if (typeof value === "string" && REMEMBERED.includes(name)) remembered[name] = value;
    else remember(value);
  }
}

/** Sets a value to use until a response contains one of that name. */
export function rememberDefault(name: string, value: string): void {
  remembered[name] ??= value;
}

/** Returns the variables with the empty ones filled, at any depth. */
export function fillVariables(variables: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, fill(name, value)]),
  );
}

function fill(name: string, value: unknown): unknown {
  if (value === "") return remembered[name] ?? value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return fillVariables(value);
}

/** Returns the headers. Without a credential, adds the variables' site key or the last token. */
export function fillHeaders(
  headers: Record<string, string>,
  variables: Record<string, unknown>,
): Record<string, string> {
  const filled = new Headers(headers);
  // GraphiQL loses the headers on a reload, so the variable is as good as the header.
  const siteKey = filled.get(SITE_KEY_HEADER) || variables.siteKey;
  filled.delete(SITE_KEY_HEADER);
  if (filled.has("Authorization")) return Object.fromEntries(filled);
  if (typeof siteKey === "string" && siteKey) filled.set(SITE_KEY_HEADER, siteKey);
  else if (remembered.token) filled.set("Authorization", `Bearer ${remembered.token}`);
  return Object.fromEntries(filled);
}

/** Returns the credential of the headers as the payload of `connection_init`. */
export function connectionParams(headers: Record<string, string>): Record<string, string> {
  const given = new Headers(headers);
  const params: Record<string, string> = {};
  const siteKey = given.get(SITE_KEY_HEADER);
  const authorization = given.get("Authorization");
  if (siteKey) params.siteKey = siteKey;
  if (authorization) params.authorization = authorization;
  return params;
}
