"""An archiver to be killed: `python -m tests.workers.archiver` takes what is due on its way."""

import asyncio
import sys

from workers.retention import advance_all

if __name__ == "__main__":
    sys.stdout.write("working\n")
    sys.stdout.flush()
    asyncio.run(advance_all())
