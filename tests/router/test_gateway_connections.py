"""The embedded gateway connects to its subgraphs and to nothing else."""

import asyncio
import json
from pathlib import Path

import httpx

from deploy.local.tools import find_node
from subgraphs.kernel.identity.viewer import NOBODY, VIEWER_HEADER, ViewerSigner
from tests.fixtures.keys import PRIVATE
from tests.fixtures.ports import free_port
from tests.fixtures.programs import running
from tests.fixtures.serving import serving
from tests.router.gateways import compose, tiny_supergraph
from tests.router.tiny_graph import subgraph

RECORD_CONNECTIONS = """\
const { appendFileSync } = require("node:fs");
const record = (kind, target) =>
  appendFileSync(process.env.CONNECTIONS_LOG, JSON.stringify([kind, String(target)]) + "\\n");

const net = require("node:net");
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  record("connect", options.path ?? `${options.host ?? "localhost"}:${options.port ?? options}`);
  return connect.apply(this, args);
};
for (const dns of [require("node:dns"), require("node:dns").promises]) {
  for (const name of ["lookup", "resolve", "resolve4", "resolve6"]) {
    const original = dns[name];
    dns[name] = function (host, ...rest) {
      if (!net.isIP(host)) record("lookup", host);
      return original.call(this, host, ...rest);
    };
  }
}
"""
"""Loaded into the gateway by `node --require`: records each connection and DNS query."""

REPORTING_SECONDS = 2
"""Apollo's packages request cloud metadata within a second of the start, unless switched off."""

APOLLO_SETTINGS = {
    "APOLLO_KEY": "service:proofgraph:not-a-key",
    "APOLLO_GRAPH_REF": "proofgraph@current",
    "APOLLO_SCHEMA_REPORTING": "true",
    "APOLLO_TELEMETRY_DISABLED": "",
}
"""An environment that asks Apollo's packages to report."""


async def test_the_gateway_connects_to_its_subgraphs_alone(tmp_path: Path) -> None:
    compose(tiny_supergraph(tmp_path)).check_returncode()
    hook, log = tmp_path / "record.cjs", tmp_path / "connections.log"
    hook.write_text(RECORD_CONNECTIONS)
    log.touch()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(find_node()), "--require", str(hook), "router/gateway.mjs"]
    command.append(str(tmp_path / "schema" / "supergraph.graphql"))
    async with serving(subgraph("users")) as users, serving(subgraph("sites")) as sites:
        env = {
            **APOLLO_SETTINGS,
            "CONNECTIONS_LOG": str(log),
            "ROUTER_PORT": str(port),
            "USERS_URL": f"http://127.0.0.1:{users}/graphql",
            "SITES_URL": f"http://127.0.0.1:{sites}/graphql",
        }
        ready = f"{address}/healthz"
        async with running(command, ready=ready, log=tmp_path / "gateway.log", env=env):
            headers = {VIEWER_HEADER: ViewerSigner(PRIVATE).sign(NOBODY)}
            async with httpx.AsyncClient(base_url=address, headers=headers) as client:
                query = {"query": '{ person(id: "1") { name shops } }'}
                response = await client.post("/graphql", json=query)
            await asyncio.sleep(REPORTING_SECONDS)

    assert response.json() == {"data": {"person": {"name": "Person 1", "shops": ["Shop of 1"]}}}
    recorded = {tuple(json.loads(line)) for line in log.read_text().splitlines()}
    assert recorded == {("connect", f"127.0.0.1:{users}"), ("connect", f"127.0.0.1:{sites}")}
