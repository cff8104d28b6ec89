"""`python -m workers.dead_letters list | show ID | replay ID… | replay --all`: the dead letters.

`list` prints why each event was dead-lettered, `show` prints its body. `replay` appends it to its
partition again, once the cause is mended; the stream worker then processes it like any other.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC
from subgraphs.kernel.streams.interface import DeadLetter

MAX_LETTERS = 1_000
"""Dead letters read in one run."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--topic", default=EVENTS_TOPIC)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print id, reason and detail, one line each")
    commands.add_parser("show", help="print the body").add_argument("ids", nargs=1, metavar="ID")
    replay = commands.add_parser("replay", help="append to the stream again")
    replay.add_argument("ids", nargs="*", metavar="ID")
    replay.add_argument("--all", action="store_true", help=f"at most {MAX_LETTERS}")
    return asyncio.run(run(parser.parse_args()))


async def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    try:
        letters = await event_streams.streams().dead_letters(options.topic, MAX_LETTERS)
        if options.command == "list":
            for letter in letters:
                _print(f"{letter.id}\t{letter.reason}\t{letter.detail}")
            return 0
        chosen = letters if getattr(options, "all", False) else _with_ids(letters, options.ids)
        if not chosen:
            sys.stderr.write("No dead letter has this id; `list` prints all of them.\n")
            return 1
        if options.command == "show":
            sys.stdout.buffer.write(chosen[0].body + b"\n")
            return 0
        replayed = await event_streams.streams().replay(options.topic, chosen)
        _print(f"{replayed} replayed")
        return 0
    finally:
        await event_streams.dispose()


def _with_ids(letters: Sequence[DeadLetter], ids: Sequence[str]) -> list[DeadLetter]:
    return [letter for letter in letters if letter.id in ids]


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
