"""The rules of A/B tests: a notification's claims are distributed among variants of its template.

The claim's id decides its variant, so a claim that is rendered again gets the same one. A stored
claim keeps its variant when the test stops.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.notifications import template_rules
from subgraphs.notifications.models import ABTest, ABTestVariant, Notification, Template
from subgraphs.notifications.template_cache import CachedVariant

MIN_VARIANTS = 2
MAX_VARIANTS = 10
"""With more, a shop of usual size needs years for a significant result."""

MAX_WEIGHT = 100
"""A weight is a share of the sum of weights; merchants think in percent."""

_HASH_BYTES = 8


class NewVariant(NamedTuple):
    """A variant to create; without a body it gets the body of the notification's template."""

    name: str
    body: str | None
    weight: int


async def create(
    session: AsyncSession,
    *,
    notification: Notification,
    name: str,
    variants: Sequence[NewVariant],
) -> ABTest:
    """Create a test as a draft.

    Raises:
        BadUserInput: too few or too many variants, two with the same name, a weight out of
            bounds, or an invalid name or body.
        Conflict: the notification is archived.
    """
    if notification.status == "ARCHIVED":
        raise Conflict("An archived notification cannot be tested; create a new one.")
    own = await session.get_one(Template, notification.template_id)
    test = ABTest(
        id=new_id(),
        account_id=notification.account_id,
        site_id=notification.site_id,
        notification_id=notification.id,
        name=template_rules.validate_name(name),
        status="DRAFT",
    )
    rows = [
        _variant(test, position, variant, own.body)
        for position, variant in enumerate(_validate(variants))
    ]
    session.add(test)
    await session.flush()
    session.add_all(rows)
    await session.flush()
    await session.refresh(test)
    return test


async def get(session: AsyncSession, *, test_id: UUID, lock: bool = False) -> ABTest:
    """One test; `lock` locks its row until the transaction ends.

    Raises:
        NotFound: no such test, or it belongs to another tenant.
    """
    test = await session.get(ABTest, test_id, with_for_update=lock)
    if test is None:
        raise NotFound("No A/B test with this ID.")
    return test


async def get_many(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, ABTest]:
    """The tests by id, without those that the viewer may not see; one statement."""
    rows = await session.scalars(select(ABTest).where(ABTest.id.in_(ids)))
    return {row.id: row for row in rows}


async def list_for_notifications(
    session: AsyncSession, notification_ids: Collection[UUID], requested: paging.Window
) -> Mapping[UUID, paging.Page[ABTest]]:
    """A page of each notification's tests, in one statement."""
    return await paging.pages_by_parent(
        session, ABTest, ABTest.notification_id, notification_ids, requested
    )


async def get_variants(
    session: AsyncSession, ids: Collection[UUID]
) -> Mapping[UUID, ABTestVariant]:
    """The variants by id, without those that the viewer may not see; one statement."""
    rows = await session.scalars(select(ABTestVariant).where(ABTestVariant.id.in_(ids)))
    return {row.id: row for row in rows}


async def list_variants(
    session: AsyncSession, test_ids: Collection[UUID]
) -> Mapping[UUID, list[ABTestVariant]]:
    """Each test's variants in the order of their creation, in one statement."""
    statement = select(ABTestVariant).where(ABTestVariant.ab_test_id.in_(test_ids))
    found: defaultdict[UUID, list[ABTestVariant]] = defaultdict(list)
    for row in await session.scalars(statement.order_by(ABTestVariant.position)):
        found[row.ab_test_id].append(row)
    return found


async def start(session: AsyncSession, test: ABTest) -> None:
    """Render new claims with the test's variants from now on.

    Raises:
        Conflict: the test is stopped, or another test of the notification is running.
    """
    if test.status == "STOPPED":
        raise Conflict("A stopped A/B test cannot start again; create a new one.")
    if test.status == "RUNNING":
        return
    test.status, test.started_at = "RUNNING", datetime.now(UTC)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(
            "Another A/B test of this notification is running; stop it first."
        ) from error


async def stop(session: AsyncSession, test: ABTest) -> None:
    """Render new claims with the notification's own template again.

    Raises:
        Conflict: the test was never started.
    """
    if test.status == "DRAFT":
        raise Conflict("Only a running A/B test can be stopped; start it first.")
    if test.status == "RUNNING":
        test.status, test.stopped_at = "STOPPED", datetime.now(UTC)


def choose_variant(claim_id: UUID, variants: Sequence[CachedVariant]) -> CachedVariant | None:
    """The variant of a claim, always the same one; each variant's share follows its weight.

    Args:
        variants: all variants of one test in their order, or none if no test is running.
    """
    if not variants:
        return None
    # The key contains the test's id, so that the next test distributes the claims independently.
    key = variants[0].ab_test_id.bytes + claim_id.bytes
    digest = hashlib.blake2b(key, digest_size=_HASH_BYTES).digest()
    point = (
        int.from_bytes(digest, "big") * sum(variant.weight for variant in variants)
        >> 8 * _HASH_BYTES
    )
    for variant in variants:
        point -= variant.weight
        if point < 0:
            return variant
    raise AssertionError("the point is below the sum of the weights")


def _validate(variants: Sequence[NewVariant]) -> list[NewVariant]:
    if not MIN_VARIANTS <= len(variants) <= MAX_VARIANTS:
        raise BadUserInput(f"`variants` must have {MIN_VARIANTS} to {MAX_VARIANTS} entries.")
    checked = [
        variant._replace(name=template_rules.validate_name(variant.name)) for variant in variants
    ]
    if len({variant.name for variant in checked}) < len(checked):
        raise BadUserInput("Each of the `variants` must have a different `name`.")
    if any(not 1 <= variant.weight <= MAX_WEIGHT for variant in checked):
        raise BadUserInput(f"A variant's `weight` must be between 1 and {MAX_WEIGHT}.")
    return checked


def _variant(test: ABTest, position: int, new: NewVariant, own_body: str) -> ABTestVariant:
    return ABTestVariant(
        id=new_id(),
        account_id=test.account_id,
        site_id=test.site_id,
        ab_test_id=test.id,
        name=new.name,
        body=own_body if new.body is None else template_rules.validate_body(new.body),
        weight=new.weight,
        position=position,
    )
