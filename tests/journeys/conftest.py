"""Two whole stacks: Apollo Router over one process, and the embedded gateway over six."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from deploy.local.merchant import Merchant, Shop

PASSWORD = "correct horse"


@pytest.fixture
async def public(stack: "Stack") -> AsyncIterator[httpx.AsyncClient]:
    """A client of the one public port."""
    async with httpx.AsyncClient(base_url=stack.url, timeout=20) as client:
        yield client


async def new_merchant(client: httpx.AsyncClient) -> Merchant:
    merchant = Merchant(client)
    await merchant.sign_up(
        f"{uuid4().hex}@example.com", PASSWORD, full_name="Anna Berg", account="Shops"
    )
    return merchant


async def new_shop(merchant: Merchant) -> Shop:
    return await merchant.open_shop(name="Shoes", domain=f"{uuid4().hex}.localhost")


@pytest.fixture
async def merchant(public: httpx.AsyncClient) -> Merchant:
    return await new_merchant(public)


@pytest.fixture
async def shop(merchant: Merchant) -> Shop:
    return await new_shop(merchant)
