/** Sends queries and mutations to `/graphql`. */

export class GraphQLRequestError extends Error {
  constructor(
    message: string,
    /** The error code of the API, or UNREACHABLE if there was no valid response. */
    readonly code: string,
  ) {
    super(message);
  }
}

interface Body<T> {
  data?: T | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

/**
 * Returns the `data` of the response.
 *
 * @throws GraphQLRequestError if the server does not answer or the response has errors.
 */
export async function request<T>(
  query: string,
  variables: Record<string, unknown> = {},
  token?: string,
): Promise<T> {
  let body: Body<T>;
  try {
    const response = await fetch("/graphql", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    body = await response.json();
  } catch {
    throw new GraphQLRequestError(
      "The server does not answer. If the stack is stopped, `make up` starts it.",
      "UNREACHABLE",
    );
  }
  const [error] = body.errors ?? [];
  if (error) throw new GraphQLRequestError(error.message, error.extensions?.code ?? "INTERNAL");
  return body.data as T;
}
