"""Small things every subgraph's types need."""

from uuid import UUID

import strawberry

from subgraphs.kernel.errors import NotFound


def to_uuid(id_: strawberry.ID) -> UUID:
    """A GraphQL id as ours.

    Raises:
        NotFound: it is no UUID, so nothing has it.
    """
    try:
        return UUID(id_)
    except ValueError as error:
        raise NotFound("There is nothing with this id.") from error


def to_id(uuid: UUID) -> strawberry.ID:
    return strawberry.ID(str(uuid))
