"""An archiver that a test kills: `python -m tests.workers.archive.archiver`.

It advances the due archives, prints "copied" after the first copied file, and then hangs.
"""

import asyncio
import sys
from threading import Event
from typing import Any

from subgraphs.kernel.storage import objects
from workers.archive import advance_all

_copy = objects.copy


def copy_and_hang(*arguments: Any, **named: Any) -> str:
    _copy(*arguments, **named)
    sys.stdout.write("copied\n")
    sys.stdout.flush()
    Event().wait()
    raise AssertionError("unreachable")


if __name__ == "__main__":
    objects.copy = copy_and_hang
    asyncio.run(advance_all())
