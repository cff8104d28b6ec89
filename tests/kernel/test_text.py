"""One line of untrusted text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kernel.text import can_be_stored, one_line

ANY_TEXT = st.text(st.characters(codec=None, categories=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  Blue \t\r\n Shoes ", "Blue Shoes"),
        ("Blue\u2028Shoes\u2029", "Blue Shoes"),
        ("B\x00l\x1b[31mue\x7f\x9b", "Bl[31mue"),
        ("\u202eseohS eulB\u202c \u2066x\u2069", "seohS eulB x"),
        ("\ufeffBlue\u200b Sho\u00ades", "Blue Shoes"),
        ("Bl\ud800ue", "Blue"),
        ("\ue000Blue", "Blue"),
        ("\u3164\u2800 \u200d\u200c ", ""),
        ("Cafe\u0301", "Café"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("<b>&amp;</b> {{ product }}", "<b>&amp;</b> {{ product }}"),
    ],
)
def test_deceptive_and_control_characters_are_removed(text: str, line: str) -> None:
    assert one_line(text, max_length=80) == line


def test_a_long_line_ends_in_an_ellipsis() -> None:
    assert one_line("12345", max_length=5) == "12345"
    assert one_line("123456", max_length=5) == "1234…"
    assert one_line("123 456", max_length=5) == "123…"


@given(ANY_TEXT)
def test_any_text_becomes_one_short_line(text: str) -> None:
    line = one_line(text, max_length=20)

    assert len(line) <= 20
    assert line == line.strip()
    assert can_be_stored(line)
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Cs", "Co", "Zl", "Zp"}
    assert one_line(line, max_length=20) == line


@pytest.mark.parametrize("text", ["a\x00", "\ud800", "a\udfff"])
def test_text_that_postgresql_cannot_store_is_detected(text: str) -> None:
    assert not can_be_stored(text)
    assert can_be_stored("Zoë 👩\u200d👧 \x01")
