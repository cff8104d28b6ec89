"""The first wall: who may use a field at all. Row-level security is the second."""

from typing import Any
from uuid import UUID

import strawberry
from strawberry.permission import BasePermission
from strawberry.types import Info

from subgraphs.kernel.errors import Forbidden, NotFound, Unauthenticated
from subgraphs.kernel.identity.viewer import Viewer, ViewerKind


class IsUser(BasePermission):
    """Only a logged-in user."""

    def has_permission(self, source: Any, info: Info[Any, Any], **kwargs: Any) -> bool:
        viewer = info.context.viewer
        if viewer.kind is ViewerKind.NOBODY:
            raise Unauthenticated("Log in first: send `Authorization: Bearer <token>`.")
        if viewer.kind is not ViewerKind.USER:
            raise Forbidden("A site key does not open this field; log in as a user.")
        return True


class IsSite(BasePermission):
    """Only a storefront, by its site key."""

    def has_permission(self, source: Any, info: Info[Any, Any], **kwargs: Any) -> bool:
        viewer = info.context.viewer
        if viewer.kind is ViewerKind.NOBODY:
            raise Unauthenticated("Send the site key: `X-Proofgraph-Site-Key: pk_…`.")
        if viewer.kind is not ViewerKind.SITE:
            raise Forbidden("Only a site key opens this field.")
        return True


def in_account(viewer: Viewer, account_id: strawberry.ID) -> UUID:
    """An account the viewer is in.

    Raises:
        NotFound: the viewer is not in it, or there is none.
    """
    for mine in viewer.account_ids:
        if str(mine) == account_id:
            return mine
    raise NotFound("There is no such account.")


def may_change(viewer: Viewer, account_id: UUID) -> None:
    """Let owners and administrators of an account pass.

    Raises:
        Forbidden: the viewer's role in it is to look on.
    """
    if account_id in viewer.read_only_ids:
        raise Forbidden("Your role in this account may look and not change.")
