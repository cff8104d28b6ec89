"""Decompresses request bodies."""

import gzip
import sys
import zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:
    from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]
except ImportError:  # has no wheel for every Python; clients without it do not use it either
    LZ4FrameDecompressor = None


def decode(body: bytes, encoding: str) -> bytes:
    """The decompressed body.

    Args:
        encoding: the Content-Encoding header.

    Raises:
        NotImplementedError: the encoding is unknown.
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
    """The content of consecutive frames; clients send one for each block of rows."""
    parts = []
    while body:
        frame = LZ4FrameDecompressor()
        parts.append(frame.decompress(body))
        body = frame.unused_data or b""
    return b"".join(parts)
