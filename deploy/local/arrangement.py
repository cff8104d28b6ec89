"""Which stack is wanted."""

from dataclasses import dataclass
from typing import Literal

Gateway = Literal["router", "embedded"]


@dataclass(frozen=True)
class Arrangement:
    """What of the stack is wanted, and how.

    Attributes:
        port: the public one.
        gateway: which one stands before the subgraphs; None for Apollo Router if there is one.
        split: one process for each subgraph.
        only: these processes alone, and what they need; all if empty.
    """

    port: int
    gateway: Gateway | None = None
    split: bool = False
    only: tuple[str, ...] = ()

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.port}"
