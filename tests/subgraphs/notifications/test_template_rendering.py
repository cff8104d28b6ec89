"""Rendering of hostile templates and variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kernel.errors import BadUserInput
from subgraphs.notifications.template_rendering import (
    DEFAULT_BODY,
    MAX_BODY,
    MAX_TEXT,
    render,
    validate,
)

ORDER = {"first_name": "Anna", "city": "Oslo", "product": "Blue Shoes"}


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (ORDER, "Anna from Oslo bought Blue Shoes"),
        ({**ORDER, "first_name": None}, "Someone from Oslo bought Blue Shoes"),
        ({**ORDER, "city": None}, "Anna bought Blue Shoes"),
        ({"product": "Blue Shoes"}, "Someone bought Blue Shoes"),
    ],
)
def test_the_default_template_renders_without_optional_variables(
    facts: dict[str, object], line: str
) -> None:
    assert render(DEFAULT_BODY, facts) == line


@pytest.mark.parametrize(
    ("product", "shown"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("{{ first_name }}{% if %}", "{{ first_name }}{% if %}"),
        ('Tom & Jerry\'s "mug"', 'Tom & Jerry\'s "mug"'),
        ("Blue\n\n  Shoes\x00\x1b", "Blue Shoes"),
        ("\u202eseohS", "seohS"),
    ],
)
def test_a_variable_is_never_parsed(product: str, shown: str) -> None:
    assert render("{{ product }}", {"product": product}) == shown


def test_a_long_text_is_truncated() -> None:
    line = render("{{ product }}", {"product": "x" * 10 * MAX_TEXT})

    assert line == "x" * (MAX_TEXT - 1) + "…"


@given(st.dictionaries(st.sampled_from(["first_name", "city", "product", "quantity"]), st.text()))
def test_any_variables_render_in_the_default_template(facts: dict[str, object]) -> None:
    line = render(DEFAULT_BODY, facts)

    assert line is not None
    assert 0 < len(line) <= MAX_TEXT


@pytest.mark.parametrize(
    "body",
    [
        DEFAULT_BODY,
        "{{ first_name | default: 'A friend' | upcase }} took {{ quantity }} {{ product }}",
        "{% if country %}Off to {{ country }}: {% endif %}{{ product }}",
        "{% assign who = first_name | default: 'Somebody' %}{{ who }}: {{ product }}",
        "{% for i in (1..3) %}★{% endfor %} {{ product }}",
    ],
)
def test_valid_templates_are_accepted(body: str) -> None:
    validate(body)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("{{ product", "not valid Liquid: expected '}}'"),
        ("{% if city %}{{ product }}", "not valid Liquid"),
        (
            "{{ email }} {{ product }}",
            "uses the unknown variable `email`; allowed are city, country",
        ),
        ("{{ last_name }}{{ zip }}", "uses the unknown variable `last_name`, `zip`;"),
        (
            "{{ product | replace: 'a', 'b' }}",
            "uses the unknown filter `replace`; allowed are append",
        ),
        ("{{ product | nosuch }}", "uses the unknown filter `nosuch`;"),
        ("{% include 'secrets' %}", "unexpected tag 'include'"),
        ("{% render 'secrets' %}", "unexpected tag 'render'"),
        ("", "must render a text"),
        ("{% if city %}{{ city }}{% endif %}", "must render a text"),
        ("x" * (MAX_BODY + 1), f"at most {MAX_BODY} characters"),
        ("{% for i in (1..1000) %}x{% endfor %}", "numbers up to 200"),
        ("{% for i in (1..99999999999) reversed %}x{% endfor %}", "numbers up to 200"),
        ("{% for i in (1..quantity) reversed %}x{% endfor %}{{ product }}", "numbers up to 200"),
        ("{% if (1..99999999999) contains 'x' %}{% endif %}{{ product }}", "numbers up to 200"),
        (
            "{% capture x %}{% liquid assign y = (1..99999999999) %}{% endcapture %}{{ product }}",
            "numbers up to 200",
        ),
        (
            "{% for i in (1..20) %}{% for j in (1..20) %}x{% endfor %}{% endfor %}",
            "loop iteration limit",
        ),
        (
            "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..50) %}"
            "{% assign a = a | append: a %}{% endfor %}{{ a }}",
            "local namespace limit",
        ),
        ("{% for i in (1..200) %}" + "x" * 100 + "{% endfor %}", "output stream limit"),
        ("{% if true %}" * 40 + "{% endif %}" * 40, "block nesting limit"),
    ],
)
def test_an_invalid_template_is_rejected_with_the_reason(body: str, complaint: str) -> None:
    with pytest.raises(BadUserInput) as refused:
        validate(body)

    assert complaint in refused.value.message


@given(st.text(st.sampled_from("{}%|'\" \n.:[]()-=<>#abc109ifendfor")))
def test_any_template_is_accepted_or_rejected(body: str) -> None:
    try:
        validate(body)
    except BadUserInput:
        return
    assert render(body, ORDER)


def test_a_template_that_fails_renders_none() -> None:
    greedy = (
        "{% if city == 'Oslo' %}{% for i in (1..200) %}{% for j in (1..2) %}x{% endfor %}"
        "{% endfor %}{% endif %}{{ product }}"
    )

    assert render(greedy, {"city": "Oslo", "product": "Shoes"}) is None
    assert render(greedy, {"city": "Bergen", "product": "Shoes"}) == "Shoes"
