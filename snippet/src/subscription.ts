/**
 * One GraphQL subscription over WebSocket (graphql-transport-ws) that survives reconnections.
 *
 * Every result carries a cursor. After a reconnection the subscription resumes after the last one.
 */
import { backOff } from "./backoff";

/** After this much silence the client sends a ping; after as much again it reconnects. */
const SILENCE_MS = 30_000;

/** graphql-transport-ws close code: the server refused the credential, so a retry is useless. */
const FORBIDDEN = 4403;

export interface SubscriptionRequest {
  address: string;
  credentials: Record<string, string>;
  /** A subscription with one root field. It must take `$a`, the cursor to resume after. */
  query: string;
  variables: Record<string, unknown>;
}

export interface Subscriber<T> {
  /** The server accepted the credential and the query was sent. */
  connected?(): void;
  next(result: T): void;
  /** The connection or an attempt to connect ended. */
  disconnected?(): void;
  /** The server refused the credential; `resume` does nothing from now on. */
  refused(): void;
}

export interface Subscription {
  /** Connects now, unless connected. */
  resume(): void;
  /** Disconnects and keeps the cursor. */
  pause(): void;
}

interface Message {
  type: string;
  payload?: unknown;
}

/** Returns a paused subscription. Call `resume` to connect. */
export function subscribe<T extends { cursor: string }>(
  { address, credentials, query, variables }: SubscriptionRequest,
  subscriber: Subscriber<T>,
): Subscription {
  let disconnect: (() => void) | undefined;
  let cursor: string | null = null;
  let failures = 0;
  let retry: number | undefined;
  let refused = false;

  function resume(): void {
    clearTimeout(retry);
    if (disconnect || refused) return;
    const socket = new WebSocket(address, "graphql-transport-ws");
    const send = (message: object) => socket.send(JSON.stringify(message));
    let received = false;
    const heartbeat = setInterval(() => {
      if (!received) return fail();
      failures = 0;
      received = false;
      send({ type: "ping" });
    }, SILENCE_MS);

    disconnect = () => {
      disconnect = undefined;
      clearInterval(heartbeat);
      // A dead server never answers the close frame, so the events of this socket are ignored.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      subscriber.disconnected?.();
    };
    const fail = (code?: number) => {
      disconnect?.();
      refused = code === FORBIDDEN;
      if (refused) subscriber.refused();
      else retry = setTimeout(resume, backOff(failures++));
    };

    socket.onopen = () => send({ type: "connection_init", payload: credentials });
    socket.onclose = (event) => fail(event.code);
    socket.onmessage = (event) => {
      const { type, payload } = JSON.parse(event.data) as Message;
      received = true;
      if (type === "ping") send({ type: "pong" });
      else if (type === "connection_ack") {
        send({
          id: "1",
          type: "subscribe",
          payload: { query, variables: { ...variables, a: cursor } },
        });
        subscriber.connected?.();
      } else if (type === "next") {
        const { data } = payload as { data?: Record<string, T | null> };
        const result = Object.values(data ?? {})[0];
        if (!result) return;
        failures = 0;
        cursor = result.cursor;
        subscriber.next(result);
      } else if (type === "error") {
        const code = (payload as { extensions?: { code?: string } }[])[0]?.extensions?.code ?? "";
        // The server no longer knows the cursor and never will: resume from now.
        if (code === "BAD_USER_INPUT") cursor = null;
        fail(/^(UNAUTHENTICATED|FORBIDDEN|NOT_FOUND)$/.test(code) ? FORBIDDEN : 0);
      } else if (type === "complete") fail();
    };
  }

  function pause(): void {
    clearTimeout(retry);
    disconnect?.();
  }

  return { resume, pause };
}
