"""Permissions of fields that show buyers' data."""

from typing import Any

from strawberry.permission import BasePermission
from strawberry.types import Info

from subgraphs.kernel.errors import Forbidden


class CanReadBuyerData(BasePermission):
    """Only owners and admins of the account; the parent object's `row` names the account."""

    def has_permission(self, source: Any, info: Info[Any, Any], **kwargs: Any) -> bool:
        return source.row.account_id not in info.context.viewer.read_only_ids

    def on_unauthorized(self) -> None:
        raise Forbidden(
            "Your role in this account may not read buyers' data; ask an owner or admin."
        )
