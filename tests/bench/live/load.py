"""Holds many subscribers on one thread, and reports how far the slowest has read.

    python -m tests.bench.live.load --port … --count 1000 [--site-key …]

Prints one JSON line whenever something changed: `ready`, then `{"seen": …}`, the number of the
newest message that every subscriber has. A line on standard input asks for the latencies since the
last one. A message's text is its number and the time it was published; see `message_text`.
"""

import argparse
import json
import os
import select
import socket
import struct
import sys
import time
import uuid

MARK = b"claim "
_NUMBER = 8
_TIME = 17
TEXT_SIZE = 168
"""With the GraphQL and WebSocket envelopes a frame has some 273 bytes."""

_QUERY = "subscription($k: String!) { liveNotifications(siteKey: $k) { text cursor } }"
_SWEEP_SECONDS = 0.002
"""Pause between two rounds over all sockets: the load must not be what limits the server."""


def message_text(number: int, size: int = TEXT_SIZE) -> str:
    """Returns the text of a message that is published now."""
    return f"claim {number:0{_NUMBER}d} {time.time():{_TIME}.6f} ".ljust(size, "x")


_PONG = b"\x8a\x80\x00\x00\x00\x00"
_PONG_SECONDS = 8
"""Interval of unsolicited pongs, in place of answers to the servers' pings."""


class Subscribers:
    """The sockets."""

    def __init__(self, port: int, count: int, site_key: str) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self.seen: dict[int, int] = {}
        self.latencies: list[float] = []
        self._buffer = bytearray(1 << 18)
        self._last_pongs = time.monotonic()
        for _ in range(count):
            self.send_pongs()
            opened = _open(port, site_key)
            opened.setblocking(False)
            self._sockets[opened.fileno()] = opened
            self.seen[opened.fileno()] = 0
            self._epoll.register(opened, select.EPOLLIN)
        self._epoll.register(sys.stdin, select.EPOLLIN)

    def send_pongs(self) -> None:
        """Shows the server that the subscribers are alive, when it is time."""
        if time.monotonic() - self._last_pongs > _PONG_SECONDS:
            self._last_pongs = time.monotonic()
            for opened in self._sockets.values():
                opened.send(_PONG)

    def sweep(self) -> bool:
        """Reads once from every socket with data; returns whether latencies are requested."""
        wanted = False
        ready = self._epoll.poll(1.0)
        now = time.time()
        for descriptor, _ in ready:
            if descriptor == sys.stdin.fileno():
                os.read(descriptor, 100)
                wanted = True
                continue
            try:
                size = self._sockets[descriptor].recv_into(self._buffer)
            except BlockingIOError:
                continue
            if not size:
                sys.exit("The server has closed a connection.")
            self._note(descriptor, self._buffer[:size], now)
        return wanted

    def _note(self, descriptor: int, data: bytearray, now: float) -> None:
        end = len(data)
        while (start := data.rfind(MARK, 0, end)) >= 0:
            number = data[start + len(MARK) : start + len(MARK) + _NUMBER + 1 + _TIME]
            if len(number) == _NUMBER + 1 + _TIME:
                self.seen[descriptor] = int(number[:_NUMBER])
                self.latencies.append(now - float(number[_NUMBER + 1 :]))
                return
            end = start


def _open(port: int, site_key: str) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=60)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    protocol = "Sec-WebSocket-Protocol: graphql-transport-ws\r\n" if site_key else ""
    opened.sendall(
        b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        + protocol.encode()
        + b"\r\n"
    )
    assert b" 101 " in _until(opened, b"\r\n\r\n")
    if site_key:
        opened.sendall(_masked({"type": "connection_init", "payload": {"siteKey": site_key}}))
        _until(opened, b"connection_ack")
        payload = {"query": _QUERY, "variables": {"k": site_key}}
        # Stock clients choose a random id for each operation.
        opened.sendall(_masked({"type": "subscribe", "id": str(uuid.uuid4()), "payload": payload}))
    return opened


def _until(opened: socket.socket, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        data += opened.recv(4096)
    return data


def _masked(message: object) -> bytes:
    text = json.dumps(message).encode()
    return b"\x81\xfe" + struct.pack("!H", len(text)) + bytes(4) + text  # masked by zeros


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--site-key", default="")
    options = parser.parse_args()
    subscribers = Subscribers(options.port, options.count, options.site_key)
    print("ready", flush=True)
    last = 0
    while True:
        wanted = subscribers.sweep()
        subscribers.send_pongs()
        seen = min(subscribers.seen.values())
        if seen != last:
            last = seen
            print(json.dumps({"seen": seen}), flush=True)
        if wanted:
            found = sorted(subscribers.latencies) or [0.0]
            shares = {
                f"p{share}": found[len(found) * share // 100] * 1000 for share in (50, 95, 99)
            }
            print(json.dumps(shares), flush=True)
            subscribers.latencies.clear()
        if len(subscribers.seen) > 1:
            time.sleep(_SWEEP_SECONDS)


if __name__ == "__main__":
    main()
