"""GraphQL types and conversions that every subgraph uses: BigInt, Money, ids."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import NewType
from uuid import UUID

import strawberry
from strawberry.schema.types.base_scalars import DateTimeDefinition, wrap_parser
from strawberry.types.scalar import ScalarDefinition

from subgraphs.kernel.errors import NotFound

BigInt = NewType("BigInt", int)
"""A JSON integer, exact up to 2^53. GraphQL's Int ends at 2^31, which a day's revenue exceeds in
the minor units of some currencies."""

_SHOWN = 50
"""Characters of an unknown ID in an error message."""

SCALARS: Mapping[object, ScalarDefinition] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        description="An integer from -2^53 to 2^53, as a JSON number.",
        serialize=int,
        parse_value=int,
    ),
    # Strawberry's parser raises OverflowError for 24:00 on 9999-12-31, which would be masked.
    datetime: replace(
        DateTimeDefinition,
        parse_value=wrap_parser(
            DateTimeDefinition.parse_value,  # type: ignore[arg-type]  # it has one
            "DateTime",
            exceptions=(OverflowError,),
        ),
    ),
}


@strawberry.federation.type(shareable=True)
class Money:
    """An amount in the minor units of its currency, such as cents."""

    amount_minor: BigInt
    currency: str


def to_uuid(id_: strawberry.ID) -> UUID:
    """Parse a GraphQL ID.

    Raises:
        NotFound: the ID is no UUID, so no entity has it.
    """
    try:
        return UUID(id_)
    except ValueError as error:
        raise NotFound(f"No entity has the ID {json.dumps(id_[:_SHOWN])}.") from error


def to_id(uuid: UUID) -> strawberry.ID:
    """The GraphQL ID of a UUID."""
    return strawberry.ID(str(uuid))
