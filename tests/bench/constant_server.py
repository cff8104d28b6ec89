"""`python -m tests.bench.constant_server PORT`: one constant response to every request."""

import asyncio
import sys
from typing import cast

import httptools
import uvloop

_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Constant(asyncio.Protocol):
    """Parses requests and answers each."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(_RESPONSE)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
