/** Asks the graph at `/graphql`, and says in words what went wrong. */

export class GraphError extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message);
  }
}

interface Answer<T> {
  data?: T | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

export async function ask<T>(
  query: string,
  variables: Record<string, unknown> = {},
  token?: string,
): Promise<T> {
  let answer: Answer<T>;
  try {
    const response = await fetch("/graphql", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    answer = await response.json();
  } catch {
    throw new GraphError("The server does not answer. Is the stack up?", "UNREACHABLE");
  }
  const [error] = answer.errors ?? [];
  if (error) throw new GraphError(error.message, error.extensions?.code ?? "INTERNAL");
  return answer.data as T;
}
