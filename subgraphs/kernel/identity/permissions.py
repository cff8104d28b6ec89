"""Permission checks of resolvers: the first of two walls. Row-level security is the second."""

from typing import Any
from uuid import UUID

import strawberry
from strawberry.permission import BasePermission
from strawberry.types import Info

from subgraphs.kernel.errors import Forbidden, NotFound, Unauthenticated
from subgraphs.kernel.identity.viewer import Viewer, ViewerKind


class IsUser(BasePermission):
    """Allows logged-in users only."""

    def has_permission(self, source: Any, info: Info[Any, Any], **kwargs: Any) -> bool:
        viewer = info.context.viewer
        if viewer.kind is ViewerKind.NOBODY:
            raise Unauthenticated("Log in first: send `Authorization: Bearer <token>`.")
        if viewer.kind is not ViewerKind.USER:
            raise Forbidden("A site key may not read this field; log in as a user.")
        return True


class IsSite(BasePermission):
    """Allows storefronts only, by their site key."""

    def has_permission(self, source: Any, info: Info[Any, Any], **kwargs: Any) -> bool:
        viewer = info.context.viewer
        if viewer.kind is ViewerKind.NOBODY:
            raise Unauthenticated("Send the site key: `X-Proofgraph-Site-Key: pk_…`.")
        if viewer.kind is not ViewerKind.SITE:
            raise Forbidden("Only a site key may read this field.")
        return True


def in_account(viewer: Viewer, account_id: strawberry.ID) -> UUID:
    """The id of an account that the viewer is a member of.

    Raises:
        NotFound: no such account, or the viewer is not a member.
    """
    for own_id in viewer.account_ids:
        if str(own_id) == account_id:
            return own_id
    raise NotFound("No account with this ID.")


def may_change(viewer: Viewer, account_id: UUID) -> None:
    """Check that the viewer may change an account.

    Raises:
        Forbidden: the viewer's role in the account is read-only.
    """
    if account_id in viewer.read_only_ids:
        raise Forbidden("Your role in this account is read-only; ask an owner or administrator.")
