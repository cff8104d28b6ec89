"""Which stack is wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Gateway = Literal["router", "embedded"]

OWN_COMMAND = "{}"
"""In a replacement command, stands for the process's own command."""


@dataclass(frozen=True)
class StackOptions:
    """Which processes the stack has and how they run.

    Attributes:
        port: the public port.
        gateway: the gateway before the subgraphs; None: Apollo Router if it is found.
        split: run one process for each subgraph.
        only: run these processes and what they need; empty: all.
        workers: number of stream workers.
        commands: replacement commands by process name; see `command_for`.
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

    def command_for(self, name: str, command: Sequence[str]) -> list[str]:
        """The command of a process: its own, or the replacement in `commands`.

        >>> options = StackOptions(8080, commands={"valkey": ["nice", OWN_COMMAND, "--save", "60"]})
        >>> options.command_for("valkey", ["valkey-server", "--port", "1"])
        ['nice', 'valkey-server', '--port', '1', '--save', '60']
        """
        replacement = self.commands.get(name, [OWN_COMMAND])
        return [
            part for word in replacement for part in (command if word == OWN_COMMAND else [word])
        ]
