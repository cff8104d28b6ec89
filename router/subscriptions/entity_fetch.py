"""Completes a subscription's result with the fields of entities that the router resolves.

One request per result, however many entities and subscribers it has. A failure nulls the fields, as
GraphQL does where a resolver fails, and is reported under the client's path.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from router.subscriptions.documents import RequestRejected
from router.subscriptions.entity_query import EntityPart, EntityQuery
from router.subscriptions.entity_selections import ENTITY_ID
from router.subscriptions.router_client import UNAVAILABLE_ERROR, RouterClient
from router.subscriptions.subgraph_client import Sign
from subgraphs.kernel.errors import Unavailable

_Path = tuple[str | int, ...]


class EntityFetcher:
    """Completes the results of one subscription."""

    def __init__(
        self,
        router: RouterClient,
        query: EntityQuery,
        variables: Mapping[str, Any],
    ) -> None:
        self._router = router
        self._query = query
        self._variables = {name: variables[name] for name in query.variables if name in variables}

    async def complete(self, sign: Sign, payload: dict[str, Any]) -> None:
        """Adds the fields of all entities to a result, in place.

        Args:
            sign: returns a signed viewer of a subscriber.
        """
        found = [
            (part, path, entity)
            for part in self._query.entities
            for path, entity in _entities(payload.get("data"), part.selection.path, ())
        ]
        aliases: dict[tuple[str, str], str] = {}
        for part, _, entity in found:
            aliases.setdefault((part.text, entity[ENTITY_ID]), f"e{len(aliases)}")
        fetched = await self._fetch(sign, found, aliases) if found else {}
        for part, path, entity in found:
            alias = aliases[part.text, entity[ENTITY_ID]]
            errors = [
                error
                for error in fetched.get("errors", [])
                if (error.get("path") or [alias])[0] == alias
            ]
            _merge(payload, part, path, (fetched.get("data") or {}).get(alias), errors)
        for _, _, entity in found:
            entity.pop(ENTITY_ID, None)

    async def _fetch(
        self,
        sign: Sign,
        found: Sequence[tuple[EntityPart, _Path, dict[str, Any]]],
        aliases: Mapping[tuple[str, str], str],
    ) -> dict[str, Any]:
        fields, variables = {}, dict(self._variables)
        for part, _, entity in found:
            alias = aliases[part.text, entity[ENTITY_ID]]
            fields[alias] = (
                f"{alias}: {part.selection.query_field}(id: ${_VARIABLE}{alias}) {part.text}"
            )
            variables[_VARIABLE + alias] = entity[ENTITY_ID]
        definitions = [
            *self._query.variable_definitions,
            *(f"${_VARIABLE}{a}: ID!" for a in fields),
        ]
        text = f"query({', '.join(definitions)}) {{ {' '.join(fields.values())} }}"
        try:
            request = {"query": text, "variables": variables}
            answer: dict[str, Any] = msgspec.json.decode(
                await self._router.execute(await sign(), request)
            )
        except RequestRejected as rejected:
            return {"errors": rejected.errors}
        except Unavailable:
            return {"errors": [UNAVAILABLE_ERROR]}
        return answer


_VARIABLE = "proofgraphId_"


def _entities(
    value: Any, keys: tuple[str, ...], path: _Path
) -> Iterator[tuple[_Path, dict[str, Any]]]:
    """Yields each entity at these response keys, with its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _entities(item, keys, (*path, index))
    elif isinstance(value, dict) and keys:
        yield from _entities(value.get(keys[0]), keys[1:], (*path, keys[0]))
    elif isinstance(value, dict) and value.get(ENTITY_ID) is not None:
        yield path, value


def _merge(
    payload: dict[str, Any],
    part: EntityPart,
    path: _Path,
    fields: dict[str, Any] | None,
    errors: Sequence[dict[str, Any]],
) -> None:
    """Adds an entity's fields to a result; nulls what GraphQL nulls where they are missing."""
    selection = part.selection
    entity = _value_at(payload["data"], path)
    if entity is None:
        return  # an error of another part has nulled it
    reported = payload.setdefault("errors", []) if errors or fields is None else []
    for error in errors:
        reported.append(_at_path(error, path))
    if fields is None and not errors:
        message = f"`{selection.path[-1]}` does not exist, or you may not see it."
        reported.append({"message": message, "path": list(path),
                         "extensions": {"code": "NOT_FOUND"}})  # fmt: skip
    if fields is not None:
        _deep_update(entity, fields)
    elif selection.has_required:
        _null_at(payload, path, selection.nullable_depth)
    else:
        entity.update(dict.fromkeys(selection.keys))


def _at_path(error: dict[str, Any], path: _Path) -> dict[str, Any]:
    """Returns an error of the router with the path that the client selected."""
    inner = (error.get("path") or [None])[1:]
    kept = {name: value for name, value in error.items() if name != "locations"}
    return {**kept, "path": [*path, *inner]}


def _value_at(value: Any, path: _Path) -> Any:
    for key in path:
        if value is None:
            return None
        value = value[key]
    return value


def _null_at(payload: dict[str, Any], path: _Path, depth: int) -> None:
    """Nulls the nearest value that may be null; `depth` counts the path's response keys."""
    end, keys = 0, 0
    for key in path:
        if keys == depth:
            break
        end += 1
        keys += isinstance(key, str)
    if depth == 0:
        payload["data"] = None
        return
    target = _value_at(payload["data"], path[: end - 1])
    target[path[end - 1]] = None


def _deep_update(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _deep_update(target[key], value)
        else:
            target[key] = value
