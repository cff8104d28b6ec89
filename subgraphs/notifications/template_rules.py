"""What a merchant may write: names, wording and look, checked before they are kept."""

from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.text import can_be_stored
from subgraphs.notifications import template_rendering

MAX_NAME = 200
MAX_CSS = 10_000
"""Characters; a toast's whole look takes a tenth."""


def checked_name(name: str) -> str:
    """A name without the spaces around it.

    Raises:
        BadUserInput: it is empty, too long, or has a NUL.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not can_be_stored(name):
        raise BadUserInput(f"`name` must have 1 to {MAX_NAME} characters.")
    return name


def checked_body(body: str | None) -> str:
    """A template that can be used; without one, the usual wording.

    Raises:
        BadUserInput: it cannot be rendered.
    """
    if body is None:
        return template_rendering.DEFAULT_BODY
    if not can_be_stored(body):
        raise BadUserInput("The template's `body` has characters that cannot be stored.")
    template_rendering.check(body)
    return body


def checked_css(css: str | None) -> str | None:
    """A look that can be stored.

    Raises:
        BadUserInput: it is too long, or has a NUL.
    """
    if css is not None and (len(css) > MAX_CSS or not can_be_stored(css)):
        raise BadUserInput(f"The template's `css` has more than {MAX_CSS} characters.")
    return css
