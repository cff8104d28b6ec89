"""PostgreSQL's programs, and a server in a hostile environment."""

import os
from pathlib import Path

import asyncpg
import pytest

from deploy.local.engines.postgres_files import unpack
from deploy.local.stack.stack import Stack


def test_unpacking_leaves_the_programs_alone(tmp_path: Path) -> None:
    unpack(tmp_path / "postgres")

    assert (tmp_path / "postgres" / "bin" / "postgres").exists()
    assert os.listdir(tmp_path) == ["postgres"]


async def test_the_user_s_settings_of_postgres_and_home_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    home = tmp_path / "home"
    home.touch()  # not a folder: even root cannot search it
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "unused"))
    for name, value in (("PGSSLMODE", "require"), ("PGHOST", "192.0.2.1"), ("PGPORT", "1")):
        monkeypatch.setenv(name, value)

    async with Stack(state=tmp_path / "state", only=["postgres"]) as stack:
        monkeypatch.setenv("PGSSLMODE", stack.env["PGSSLMODE"])
        connection = await asyncpg.connect(stack.stores["postgres"])
        try:
            assert await connection.fetchval("SELECT current_user") == "proofgraph_owner"
        finally:
            await connection.close()
