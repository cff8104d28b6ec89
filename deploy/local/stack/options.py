"""Which stack is wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Gateway = Literal["router", "embedded"]

OWN = "{}"
"""Stands for a process's own command in one that is run in its place."""


@dataclass(frozen=True)
class Arrangement:
    """What of the stack is wanted, and how.

    Attributes:
        port: the public one.
        gateway: which one stands before the subgraphs; None for Apollo Router if there is one.
        split: one process for each subgraph.
        only: these processes alone, and what they need; all if empty.
        workers: how many stream workers.
        commands: what is run in place of a process's own command, by its name; see `instead`.
    """

    port: int
    gateway: Gateway | None = None
    split: bool = False
    only: tuple[str, ...] = ()
    workers: int = 1
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.port}"

    def instead(self, name: str, command: Sequence[str]) -> list[str]:
        """The command a process is run with: another one where that is wanted.

        >>> swapped = Arrangement(8080, commands={"valkey": ["nice", OWN, "--loglevel", "debug"]})
        >>> swapped.instead("valkey", ["valkey-server", "--port", "1"])
        ['nice', 'valkey-server', '--port', '1', '--loglevel', 'debug']
        """
        wanted = self.commands.get(name, [OWN])
        return [part for word in wanted for part in (command if word == OWN else [word])]
