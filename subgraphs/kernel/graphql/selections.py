"""Reads what a document selects below a field, before the field is resolved."""

from collections import defaultdict
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, GraphQLResolveInfo, InlineFragmentNode


def most_names(info: GraphQLResolveInfo[Any]) -> int:
    """The largest number of aliases that select one and the same field below this field.

    A field without alias counts as one. Each fragment is walked once, however often it is spread.
    """
    names: defaultdict[str, set[str]] = defaultdict(set)
    spread: set[str] = set()
    pending = [node.selection_set for node in info.field_nodes]
    while pending:
        selection_set = pending.pop()
        for node in selection_set.selections if selection_set else ():
            match node:
                case FieldNode():
                    names[node.name.value].add((node.alias or node.name).value)
                case InlineFragmentNode():
                    pending.append(node.selection_set)
                case FragmentSpreadNode() if node.name.value not in spread:
                    spread.add(node.name.value)
                    pending.append(info.fragments[node.name.value].selection_set)
    return max(map(len, names.values()), default=1)
