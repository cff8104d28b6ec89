"""Template rendering: a Liquid template and an event's variables make the text of a claim.

Merchants write templates; the variables come from shops and buyers. Neither is trusted. A template
runs with limits and without the tags and filters that multiply text. Variables are never parsed.
Nothing is escaped here, because the snippet writes the text as a text node.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import structlog
from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.text import one_line

log = structlog.stdlib.get_logger(__name__)

VARIABLES = frozenset({"first_name", "city", "country", "product", "quantity"})
"""The variables of a recent order's template. All but `product` may be absent."""

DEFAULT_BODY = (
    '{{ first_name | default: "Someone" }}{% if city %} from {{ city }}{% endif %}'
    " bought {{ product }}"
)

MAX_BODY = 1_000
"""Characters of a template: three times the longest sensible one."""

MAX_TEXT = 200
"""Characters of a claim: what a visitor can read while it is shown."""

MAX_RANGE = 200
"""The largest absolute number in a range. Liquid expands a range before it checks the limits below:
`reversed` of a long one would take gigabytes."""

# No `replace`, `join` or arithmetic: chained, they multiply text, and no limit below covers chains.
_FILTERS = frozenset(
    {
        *("append", "prepend", "remove", "remove_first", "remove_last", "slice", "truncate"),
        *("capitalize", "downcase", "upcase", "lstrip", "rstrip", "squish", "strip"),
        *("default", "size", "truncatewords"),
    }
)

# A template has no other templates to include, and claims are not HTML.
_ABSENT_TAGS = ("include", "render", "tablerow")

_SAMPLES: tuple[Mapping[str, object], ...] = (
    {"first_name": "Anna", "city": "Oslo", "country": "NO", "product": "Shoes", "quantity": 1},
    {"product": "Shoes"},
)


class _Sandbox(Environment):
    """Liquid with low resource limits: ten times what a usual claim needs."""

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


def validate(body: str) -> None:
    """Check that a template renders a complete order, and an order that has only a product.

    Raises:
        BadUserInput: the body is too long, is not Liquid, uses an unknown variable or filter, or
            renders an empty text.
    """
    if len(body) > MAX_BODY:
        raise BadUserInput(f"The template's `body` must have at most {MAX_BODY} characters.")
    try:
        used = _compile(body).analyze(include_partials=False)
        _validate_names("variable", used.globals.keys() - VARIABLES, VARIABLES)
        _validate_names("filter", used.filters.keys() - _FILTERS, _FILTERS)
        texts = [_render(body, sample) for sample in _SAMPLES]
    except LiquidError as error:
        raise BadUserInput(
            f"The template's `body` is not valid Liquid: {error.message}."
        ) from error
    if not all(texts):
        raise BadUserInput(
            "The template's `body` must render a text for an order that has only a product."
        )


def render(body: str, variables: Mapping[str, object]) -> str | None:
    """The text of a template with these variables; None if it is empty or the template fails."""
    try:
        return _render(body, variables) or None
    except Exception as error:  # a failing template must not stop the claims of other templates
        log.warning("template_failed", error=type(error).__name__)
        return None


def _render(body: str, variables: Mapping[str, object]) -> str:
    return one_line(_compile(body).render(**variables), max_length=MAX_TEXT)


@lru_cache(maxsize=1_024)
def _compile(body: str) -> BoundTemplate:
    template = _liquid.from_string(body)
    if not all(map(_is_short, _ranges(template.nodes, RenderContext(template)))):
        raise BadUserInput(
            f"A range in the template's `body` must use whole numbers up to {MAX_RANGE}."
        )
    return template


def _ranges(nodes: Iterable[Node], context: RenderContext) -> Iterator[RangeLiteral]:
    """All range literals of a template."""
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


def _validate_names(kind: str, unknown: set[str], allowed: frozenset[str]) -> None:
    if unknown:
        wrong = ", ".join(f"`{one_line(name, max_length=40)}`" for name in sorted(unknown))
        raise BadUserInput(
            f"The template's `body` uses the unknown {kind} {wrong}; "
            f"allowed are {', '.join(sorted(allowed))}."
        )
