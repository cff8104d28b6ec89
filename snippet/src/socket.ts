/**
 * One GraphQL subscription over WebSocket (graphql-transport-ws) that outlives its connections.
 *
 * Every answer carries a cursor; after a break the next connection asks for what came after it.
 */
import { backOff } from "./backoff";

/** A connection that stayed silent this long is asked for a sign of life, then given up. */
const SILENCE_MS = 30_000;

/** graphql-transport-ws: "Forbidden". No retry mends a credential. */
const FORBIDDEN = 4403;

export interface Subscription {
  address: string;
  credentials: Record<string, string>;
  query: string;
  /** The query must also take `$a`, the cursor to go on after. */
  variables: Record<string, unknown>;
}

export interface Listener<T> {
  ready?(): void;
  next(answer: T): void;
  lost?(): void;
  refused(): void;
}

export interface Following {
  /** Connect now, unless connected. */
  resume(): void;
  /** Let go of the connection and keep the place. */
  pause(): void;
}

interface Message {
  type: string;
  payload?: unknown;
}

/** Follow a subscription with one field, from now on. Call `resume` to begin. */
export function follow<T extends { cursor: string }>(
  { address, credentials, query, variables }: Subscription,
  listener: Listener<T>,
): Following {
  let drop: ((code?: number) => void) | undefined;
  let cursor: string | null = null;
  let failures = 0;
  let retry: number | undefined;
  let refused = false;

  function resume(): void {
    clearTimeout(retry);
    if (drop || refused) return;
    const socket = new WebSocket(address, "graphql-transport-ws");
    const say = (message: object) => socket.send(JSON.stringify(message));
    let heard = false;
    const watch = setInterval(() => {
      if (!heard) return fail();
      failures = 0;
      heard = false;
      say({ type: "ping" });
    }, SILENCE_MS);

    drop = () => {
      drop = undefined;
      clearInterval(watch);
      // A dead peer never answers our close: don't wait for its events.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    };
    const fail = (code?: number) => {
      drop?.();
      listener.lost?.();
      refused = code === FORBIDDEN;
      if (refused) listener.refused();
      else retry = setTimeout(resume, backOff(failures++));
    };

    socket.onopen = () => say({ type: "connection_init", payload: credentials });
    socket.onclose = (event) => fail(event.code);
    socket.onmessage = (event) => {
      const { type, payload } = JSON.parse(event.data) as Message;
      heard = true;
      if (type === "ping") say({ type: "pong" });
      else if (type === "connection_ack") {
        say({
          id: "1",
          type: "subscribe",
          payload: { query, variables: { ...variables, a: cursor } },
        });
        listener.ready?.();
      } else if (type === "next") {
        const answer = Object.values((payload as { data?: Record<string, T | null> }).data ?? {})[0];
        if (!answer) return;
        failures = 0;
        cursor = answer.cursor;
        listener.next(answer);
      } else if (type === "error") {
        const code = (payload as { extensions?: { code?: string } }[])[0]?.extensions?.code ?? "";
        // A cursor the server no longer knows would fail for ever: go on from now.
        if (code === "BAD_USER_INPUT") cursor = null;
        fail(/^(UNAUTHENTICATED|FORBIDDEN|NOT_FOUND)$/.test(code) ? FORBIDDEN : 0);
      } else if (type === "complete") fail();
    };
  }

  function pause(): void {
    clearTimeout(retry);
    drop?.();
  }

  return { resume, pause };
}
