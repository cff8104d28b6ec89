"""Amounts in integer minor units."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.integrations.sources import Unreadable
from subgraphs.integrations.sources.money import minor_units


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("89.00", "EUR", 8900),
        ("0.1", "USD", 10),
        ("1200", "JPY", 1200),
        ("1200.00", "KRW", 1200),
        ("1.234", "KWD", 1234),
        ("12.5", "IQD", 12_500),
        ("7", "CLF", 70_000),
        ("0.00", "EUR", 0),
        ("1E+2", "EUR", 10_000),
    ],
)
def test_an_amount_is_exact_in_its_currencys_smallest_unit(
    amount: str, currency: str, minor: int
) -> None:
    assert minor_units(Decimal(amount), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("-1.00", "EUR"),
        ("NaN", "EUR"),
        ("sNaN", "EUR"),
        ("Infinity", "EUR"),
        ("1E+999999", "EUR"),
        ("1E-999999", "EUR"),
        ("0.001", "EUR"),
        ("0.5", "JPY"),
        ("100000000000.01", "EUR"),
        ("1." + "0" * 40 + "1", "EUR"),
    ],
)
def test_invalid_and_too_precise_amounts_are_rejected(amount: str, currency: str) -> None:
    with pytest.raises(Unreadable):
        minor_units(Decimal(amount), currency)


@given(st.decimals(), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_any_number_is_accepted_or_rejected(amount: Decimal, currency: str) -> None:
    try:
        minor = minor_units(amount, currency)
    except Unreadable:
        return
    assert Decimal(minor) == amount * {"EUR": 100, "JPY": 1, "KWD": 1000}[currency]
