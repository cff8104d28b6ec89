"""What the demo's commands print, and how they end."""

from collections.abc import Callable

import httpx
from playwright.async_api import Error as BrowserError
from rich.console import Console
from websockets.exceptions import WebSocketException

from deploy.local.demo.merchant import ApiError
from deploy.local.demo.tracing import StepFailed
from deploy.local.problems import Problem

console = Console(highlight=False)

FAILURES = (
    StepFailed,
    ApiError,
    BrowserError,
    AssertionError,  # of Playwright's `expect`
    httpx.HTTPError,
    WebSocketException,
    RuntimeError,
    OSError,
)
"""The errors by which a part of the stack that does not work shows itself to the demo."""


def say(text: str) -> None:
    """Print a sentence as it is."""
    console.print(f"  {text}", soft_wrap=True, markup=False)


def run(command: Callable[[], None], name: str) -> int:
    """Run a command; returns its exit code: 0, 1 where a step failed, 2 where something is missing.

    Args:
        name: what the error message calls it.
    """
    try:
        command()
    except Problem as problem:
        console.print(str(problem), style="red", markup=False, soft_wrap=True)
        return problem.exit_code
    except FAILURES as error:
        reason = error or type(error).__name__
        console.print(f"{name} failed: {reason}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
    return 0
