"""Validation of what a merchant writes: names, template bodies and style sheets."""

from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.text import can_be_stored
from subgraphs.notifications import template_rendering

MAX_NAME = 200
MAX_CSS = 10_000
"""Characters; the style sheet of the default toast has a tenth."""


def validate_name(name: str) -> str:
    """The name without surrounding spaces.

    Raises:
        BadUserInput: the name is empty, too long, or has a NUL.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not can_be_stored(name):
        raise BadUserInput(f"`name` must have 1 to {MAX_NAME} characters, none of them NUL.")
    return name


def validate_body(body: str | None) -> str:
    """The template body; the default body for None.

    Raises:
        BadUserInput: the body is not valid Liquid or cannot be stored.
    """
    if body is None:
        return template_rendering.DEFAULT_BODY
    if not can_be_stored(body):
        raise BadUserInput("The template's `body` must not contain NUL or unpaired surrogates.")
    template_rendering.validate(body)
    return body


def validate_css(css: str | None) -> str | None:
    """The style sheet, unchanged.

    Raises:
        BadUserInput: the style sheet is too long, or has a NUL.
    """
    if css is not None and (len(css) > MAX_CSS or not can_be_stored(css)):
        raise BadUserInput(
            f"The template's `css` must have at most {MAX_CSS} characters, none of them NUL."
        )
    return css
