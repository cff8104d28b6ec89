"""From a template and facts to the one line visitors read.

Templates are Liquid, written by merchants; facts come from shops and buyers. Neither is trusted: a
template runs with limits and without whatever could multiply text, a fact is never parsed, and the
line is text, which the snippet writes as a text node (so nothing is escaped here).
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.text import one_line

log = logging.getLogger(__name__)

VARIABLES = frozenset({"first_name", "city", "country", "product", "quantity"})
"""What a template of a recent order may use; each may be absent but the product."""

DEFAULT_BODY = (
    '{{ first_name | default: "Someone" }}{% if city %} from {{ city }}{% endif %}'
    " bought {{ product }}"
)

MAX_BODY = 1_000
"""Characters of a template: three times the longest sensible wording."""

MAX_TEXT = 200
"""Characters of a claim: what a visitor reads in the seconds it is there."""

MAX_RANGE = 200
"""The numbers a range may go to. Whatever walks or turns round a longer one does so before any
limit below is looked at: `reversed` alone would take gigabytes."""

# No `replace`, `join` or arithmetic: in a chain they multiply, and no limit below sees a chain.
_FILTERS = frozenset(
    {
        *("append", "prepend", "remove", "remove_first", "remove_last", "slice", "truncate"),
        *("capitalize", "downcase", "upcase", "lstrip", "rstrip", "squish", "strip"),
        *("default", "size", "truncatewords"),
    }
)

# There are no other templates to include, and no HTML to lay out in tables.
_ABSENT_TAGS = ("include", "render", "tablerow")

_SAMPLES: tuple[Mapping[str, object], ...] = (
    {"first_name": "Anna", "city": "Oslo", "country": "NO", "product": "Shoes", "quantity": 1},
    {"product": "Shoes"},
)


class _Sandbox(Environment):
    """Liquid with a small purse; a claim needs a tenth of it."""

    loop_iteration_limit = 200
    local_namespace_limit = 8_192  # bytes
    output_stream_limit = 8_192  # bytes


def _sandbox() -> Environment:
    sandbox = _Sandbox(autoescape=False)
    sandbox.filters = {name: sandbox.filters[name] for name in _FILTERS}
    for tag in _ABSENT_TAGS:
        del sandbox.tags[tag]
    return sandbox


_liquid = _sandbox()


def check(body: str) -> None:
    """Make sure that a template can be used.

    Raises:
        BadUserInput: too long, not Liquid, a variable or filter there is none of, or it says
            nothing or fails on an order that has everything or on one that names only its product.
    """
    if len(body) > MAX_BODY:
        raise BadUserInput(f"The template's `body` has more than {MAX_BODY} characters.")
    try:
        used = _compiled(body).analyze(include_partials=False)
        _check_known("variable", used.globals.keys() - VARIABLES, VARIABLES)
        _check_known("filter", used.filters.keys() - _FILTERS, _FILTERS)
        lines = [_rendered(body, sample) for sample in _SAMPLES]
    except LiquidError as error:
        raise BadUserInput(
            f"The template's `body` is not valid Liquid: {error.message}."
        ) from error
    if not all(lines):
        raise BadUserInput("The template says nothing about an order that has only a product.")


def render(body: str, facts: Mapping[str, object]) -> str | None:
    """The line a template makes of these facts; None where it makes none."""
    try:
        return _rendered(body, facts) or None
    except Exception as error:  # whatever a template does, it costs its own claim and no other
        log.warning("a template made no claim: %s", type(error).__name__)
        return None


def _rendered(body: str, facts: Mapping[str, object]) -> str:
    return one_line(_compiled(body).render(**facts), max_length=MAX_TEXT)


@lru_cache(maxsize=1_024)
def _compiled(body: str) -> BoundTemplate:
    template = _liquid.from_string(body)
    if not all(map(_is_short, _ranges(template.nodes, RenderContext(template)))):
        raise BadUserInput(f"A range in the template goes from and to numbers up to {MAX_RANGE}.")
    return template


def _ranges(nodes: Iterable[Node], context: RenderContext) -> Iterator[RangeLiteral]:
    """The ranges written anywhere in a template."""
    for node in nodes:
        for expression in node.expressions():
            yield from _ranges_within(expression)
        yield from _ranges(node.children(context), context)


def _ranges_within(expression: Expression) -> Iterator[RangeLiteral]:
    if isinstance(expression, RangeLiteral):
        yield expression
    for child in expression.children():
        yield from _ranges_within(child)


def _is_short(found: RangeLiteral) -> bool:
    ends = (found.start, found.stop)
    return all(isinstance(end, IntegerLiteral) and abs(end.value) <= MAX_RANGE for end in ends)


def _check_known(kind: str, unknown: set[str], known: frozenset[str]) -> None:
    if unknown:
        names = ", ".join(f"`{one_line(name, max_length=40)}`" for name in sorted(unknown))
        raise BadUserInput(
            f"The template uses the {kind} {names}; there are {', '.join(sorted(known))}."
        )
