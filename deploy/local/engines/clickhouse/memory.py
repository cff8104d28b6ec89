"""Returns memory that only the start of the engine needed."""

import ctypes
import sys
from pathlib import Path

_LIBRARY = "_chdb.abi3.so"
_MADV_PAGEOUT = 21  # since Linux 5.4


def release_start_up_code() -> None:
    """Tell Linux to drop the pages of chdb's library from memory.

    Loading the library of 555 MB leaves some 250 MB of it resident, most of which only ran once.
    Linux reads a page again when it is used. Does nothing on other systems.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, _, rest = line.partition(" ")
        # A writable mapping holds the library's data, which would go to the swap.
        if rest.endswith(_LIBRARY) and rest[1] != "w":
            start, end = (int(address, 16) for address in addresses.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_PAGEOUT)
