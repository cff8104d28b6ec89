"""`python -m workers.dead_letters list | show ID | replay ID… | replay --all`: buried events.

`list` says why each was buried, `show` prints its body, `replay` puts it back at its partition's
end, where the worker takes it like any other: once what it could not be worked with is mended.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC
from subgraphs.kernel.streams.interface import DeadLetter

MOST = 1_000
"""Dead letters looked at in one run."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--topic", default=EVENTS_TOPIC)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="one line each: id, reason, detail")
    commands.add_parser("show", help="the body").add_argument("ids", nargs=1, metavar="ID")
    replay = commands.add_parser("replay", help="put back")
    replay.add_argument("ids", nargs="*", metavar="ID")
    replay.add_argument("--all", action="store_true", help=f"at most {MOST}")
    return asyncio.run(run(parser.parse_args()))


async def run(options: argparse.Namespace) -> int:
    """Do what is asked for; answers the exit code."""
    try:
        letters = await event_streams.streams().dead_letters(options.topic, MOST)
        if options.command == "list":
            for letter in letters:
                _print(f"{letter.id}\t{letter.reason}\t{letter.detail}")
            return 0
        chosen = letters if getattr(options, "all", False) else _named(letters, options.ids)
        if not chosen:
            sys.stderr.write("There is no such dead letter; `list` shows those there are.\n")
            return 1
        if options.command == "show":
            sys.stdout.buffer.write(chosen[0].body + b"\n")
            return 0
        back = await event_streams.streams().replay(options.topic, chosen)
        _print(f"{back} put back")
        return 0
    finally:
        await event_streams.dispose()


def _named(letters: Sequence[DeadLetter], ids: Sequence[str]) -> list[DeadLetter]:
    return [letter for letter in letters if letter.id in ids]


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
