"""A/B tests: several wordings of one notification, shared out among its claims.

A variant is chosen by the claim's id, so whoever makes the claim again chooses the same. A claim
that is stored keeps the variant it has, whatever becomes of the test.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import any_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.reads import Session, Statement, rows, uuids
from subgraphs.notifications import template_rules
from subgraphs.notifications.models import ABTest, ABTestVariant, Notification, Template
from subgraphs.notifications.template_cache import Variant

MIN_VARIANTS = 2
MAX_VARIANTS = 10
"""With more, a shop of usual size waits years for an answer."""

MAX_WEIGHT = 100
"""Weights are shares of their sum; percent are the finest that anyone writes."""

_HASH_BYTES = 8

_BY_ID = Statement(select(ABTest).where(ABTest.id == any_(uuids("ids"))))
_VARIANTS = Statement(select(ABTestVariant).where(ABTestVariant.id == any_(uuids("ids"))))
_VARIANTS_OF_TESTS = Statement(
    select(ABTestVariant)
    .where(ABTestVariant.ab_test_id == any_(uuids("ids")))
    .order_by(ABTestVariant.position)
)


class NewVariant(NamedTuple):
    """A wording to be tried; without a body it is the notification's own."""

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
    """Draft a test.

    Raises:
        BadUserInput: too few or too many variants, two of one name, a weight out of bounds, a
            name or a body that cannot be used.
        Conflict: the notification is archived.
    """
    if notification.status == "ARCHIVED":
        raise Conflict("An archived notification cannot be tested; make a new one.")
    own = await session.get_one(Template, notification.template_id)
    test = ABTest(
        id=new_id(),
        account_id=notification.account_id,
        site_id=notification.site_id,
        notification_id=notification.id,
        name=template_rules.checked_name(name),
        status="DRAFT",
    )
    rows = [_variant(test, at, variant, own.body) for at, variant in enumerate(_checked(variants))]
    session.add(test)
    await session.flush()
    session.add_all(rows)
    await session.flush()
    await session.refresh(test)
    return test


async def get(session: AsyncSession, *, test_id: UUID, lock: bool = False) -> ABTest:
    """One test; locked until the transaction ends where it is to be changed.

    Raises:
        NotFound: no such test, or not the viewer's.
    """
    test = await session.get(ABTest, test_id, with_for_update=lock)
    if test is None:
        raise NotFound("There is no such A/B test.")
    return test


async def start(session: AsyncSession, test: ABTest) -> None:
    """Word new claims by its variants from now on.

    Raises:
        Conflict: it has been stopped, or another test of the notification runs.
    """
    if test.status == "STOPPED":
        raise Conflict("A stopped A/B test stays as it is; make a new one.")
    if test.status == "RUNNING":
        return
    test.status, test.started_at = "RUNNING", datetime.now(UTC)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict("Another A/B test of this notification runs; stop it first.") from error


async def stop(session: AsyncSession, test: ABTest) -> None:
    """Word new claims by the notification's own template again.

    Raises:
        Conflict: it has never run.
    """
    if test.status == "DRAFT":
        raise Conflict("Only an A/B test that runs can be stopped.")
    if test.status == "RUNNING":
        test.status, test.stopped_at = "STOPPED", datetime.now(UTC)


async def get_many(session: Session, ids: Collection[UUID]) -> Mapping[UUID, ABTest]:
    """Those of the tests that the viewer may see, in one statement."""
    return {row.id: row for row in await rows(session, _BY_ID, ids=ids)}


async def of_notifications(
    session: Session, notification_ids: Collection[UUID], asked: paging.Window
) -> Mapping[UUID, paging.Page[ABTest]]:
    """A page of each notification's tests, in one statement."""
    return await paging.pages_by_parent(
        session, ABTest, ABTest.notification_id, notification_ids, asked
    )


async def variants(session: Session, ids: Collection[UUID]) -> Mapping[UUID, ABTestVariant]:
    """Those of the variants that the viewer may see, in one statement."""
    return {row.id: row for row in await rows(session, _VARIANTS, ids=ids)}


async def variants_of(
    session: Session, test_ids: Collection[UUID]
) -> Mapping[UUID, list[ABTestVariant]]:
    """Each test's variants as they were given, in one statement."""
    found: defaultdict[UUID, list[ABTestVariant]] = defaultdict(list)
    for row in await rows(session, _VARIANTS_OF_TESTS, ids=test_ids):
        found[row.ab_test_id].append(row)
    return found


def chosen(claim_id: UUID, variants: Sequence[Variant]) -> Variant | None:
    """The variant of a claim: always the same one, each as often as its weight says.

    Args:
        variants: of one test, in their order; empty where none runs.
    """
    if not variants:
        return None
    # The test's id is in it: two tests one after the other share the claims out afresh.
    key = variants[0].ab_test_id.bytes + claim_id.bytes
    digest = hashlib.blake2b(key, digest_size=_HASH_BYTES).digest()
    point = int.from_bytes(digest, "big") * sum(it.weight for it in variants) >> 8 * _HASH_BYTES
    for variant in variants:
        point -= variant.weight
        if point < 0:
            return variant
    raise AssertionError("the point lies below the sum of the weights")


def _checked(variants: Sequence[NewVariant]) -> list[NewVariant]:
    if not MIN_VARIANTS <= len(variants) <= MAX_VARIANTS:
        raise BadUserInput(f"A test has {MIN_VARIANTS} to {MAX_VARIANTS} variants.")
    checked = [it._replace(name=template_rules.checked_name(it.name)) for it in variants]
    if len({it.name for it in checked}) < len(checked):
        raise BadUserInput("Two variants have the same name.")
    if any(not 1 <= it.weight <= MAX_WEIGHT for it in checked):
        raise BadUserInput(f"A variant's `weight` is between 1 and {MAX_WEIGHT}.")
    return checked


def _variant(test: ABTest, position: int, new: NewVariant, own_body: str) -> ABTestVariant:
    return ABTestVariant(
        id=new_id(),
        account_id=test.account_id,
        site_id=test.site_id,
        ab_test_id=test.id,
        name=new.name,
        body=own_body if new.body is None else template_rules.checked_body(new.body),
        weight=new.weight,
        position=position,
    )
