"""Every root field says who may use it: a site key is public, so nothing may be open by mistake."""

from importlib import import_module

import pytest
from strawberry.types.base import StrawberryObjectDefinition

from subgraphs.kernel.config import SUBGRAPHS
from subgraphs.kernel.identity.permissions import IsSite, IsUser

OPEN = {"signUp", "logIn", "plans", "_service", "_entities"}
"""What nobody in particular may ask; the last two are the router's."""

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
def test_a_root_field_is_for_users_unless_it_is_known_to_be_open(
    subgraph: str, field: str, permissions: list[type]
) -> None:
    if field in OPEN:
        assert permissions == []
    else:
        assert permissions == [IsSite if field in FOR_SHOPS else IsUser]


def test_the_roots_are_all_there() -> None:
    names = {field for _, field, _ in root_fields()}

    assert len(names - OPEN) == 26
    assert OPEN - {"_service", "_entities"} | FOR_SHOPS <= names
