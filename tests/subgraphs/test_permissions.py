"""Every root field has a permission class, because site keys are public."""

from importlib import import_module

import pytest
from strawberry.types.base import StrawberryObjectDefinition

from subgraphs.kernel.config import SUBGRAPHS
from subgraphs.kernel.identity.permissions import IsSite, IsUser

OPEN = {"signUp", "logIn", "plans", "_service", "_entities"}
"""Fields without permission checks; the last two are for the router."""

FOR_SHOPS = {"liveNotifications"}


def root_fields() -> list[tuple[str, str, list[type]]]:
    found: list[tuple[str, str, list[type]]] = []
    for name in SUBGRAPHS:
        schema = import_module(f"subgraphs.{name}.schema").schema
        for root in ("Query", "Mutation", "Subscription"):
            definition = schema.get_type_by_name(root)
            if not isinstance(definition, StrawberryObjectDefinition):
                continue
            for field in definition.fields:
                graphql_name = schema.config.name_converter.get_graphql_name(field)
                found.append((name, graphql_name, list(field.permission_classes)))
    return found


@pytest.mark.parametrize(("subgraph", "field", "permissions"), root_fields())
def test_every_root_field_requires_a_user_unless_listed_as_public(
    subgraph: str, field: str, permissions: list[type]
) -> None:
    if field in OPEN:
        assert permissions == []
    else:
        assert permissions == [IsSite if field in FOR_SHOPS else IsUser]


def test_all_root_fields_are_checked() -> None:
    names = {field for _, field, _ in root_fields()}

    assert len(names - OPEN) == 26
    assert OPEN - {"_service", "_entities"} | FOR_SHOPS <= names
