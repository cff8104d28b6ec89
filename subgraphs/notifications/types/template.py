"""The GraphQL type of templates."""

from typing import Self

import strawberry

from subgraphs.kernel.graphql.types import to_id
from subgraphs.notifications import models


@strawberry.type
class Template:
    """The text and the style of a notification's claims."""

    id: strawberry.ID
    name: str
    body: str = strawberry.field(description="The text of each claim, in Liquid.")
    css: str | None = strawberry.field(
        description="The style sheet of each claim; null for the default style."
    )

    @classmethod
    def of(cls, row: models.Template) -> Self:
        return cls(id=to_id(row.id), name=row.name, body=row.body, css=row.css_content)
