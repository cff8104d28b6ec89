"""Small things every subgraph's types need."""

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
"""A whole number of JSON, exact up to 2^53: GraphQL's Int ends at two thousand million, which some
currencies' smallest units pass within a day."""

SCALARS: Mapping[object, ScalarDefinition] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number, up to 2^53 either way.",
        serialize=int,
        parse_value=int,
    ),
    # Strawberry's lets 24 o'clock of the last day there is through as a fault of ours.
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
    """An amount in the smallest units of its currency (ISO 4217)."""

    amount_minor: BigInt
    currency: str


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
