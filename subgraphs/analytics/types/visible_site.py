"""The check that the viewer may see a site."""

from uuid import UUID

import strawberry

from subgraphs.analytics.loaders import VisibleSite
from subgraphs.kernel.errors import NotFound
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid


async def visible_site_id(info: Info, id_: strawberry.ID) -> UUID:
    """The UUID of a site that the viewer may see.

    Raises:
        NotFound: the site does not exist, or it belongs to another tenant.
    """
    site_id = to_uuid(id_)
    if not await info.context.loader(VisibleSite).load(site_id):
        raise NotFound("No site with this ID.")
    return site_id
