"""An archiver that tests kill: `python -m tests.workers.archive.archiver` advances what is due.

It says "copied" when the first file has its copy, and goes no further.
"""

import asyncio
import sys
from threading import Event
from typing import Any

from subgraphs.kernel.storage import objects
from workers.archive import advance_all

_copy = objects.copy


def copy_and_stand(*arguments: Any, **named: Any) -> str:
    _copy(*arguments, **named)
    sys.stdout.write("copied\n")
    sys.stdout.flush()
    Event().wait()
    raise AssertionError("never comes so far")


if __name__ == "__main__":
    objects.copy = copy_and_stand
    asyncio.run(advance_all())
