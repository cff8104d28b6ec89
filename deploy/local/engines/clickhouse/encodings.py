"""Request bodies as clients compress them."""

import gzip
import sys
import zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:
    from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]
except ImportError:  # not packaged for every Python; clients that lack it do not use it either
    LZ4FrameDecompressor = None


def decode(body: bytes, encoding: str) -> bytes:
    """The plain bytes.

    Raises:
        NotImplementedError: the encoding is none of ours.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "zstd":
            return zstd.decompress(body)
        case "lz4" if LZ4FrameDecompressor is not None:
            return _lz4(body)
        case _:
            raise NotImplementedError(f"Unknown compression method: {encoding}")


def _lz4(body: bytes) -> bytes:
    """Clients send a frame for each block of rows, one after the other."""
    parts = []
    while body:
        frame = LZ4FrameDecompressor()
        parts.append(frame.decompress(body))
        body = frame.unused_data or b""
    return b"".join(parts)
