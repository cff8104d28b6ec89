"""Converts amounts from decimal numbers, as senders write them, to integer minor units."""

from decimal import Decimal

from subgraphs.integrations.sources import Unreadable

# The exponents of ISO 4217 that are not 2. Libraries use CLDR, which has the number of decimals
# that people write instead; it differs for the Iraqi and the Serbian dinar.
_WITHOUT_DECIMALS = {
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
    *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
}
_DECIMALS = {
    **dict.fromkeys(_WITHOUT_DECIMALS, 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

_MAX_AMOUNT = 10**11
"""Above any order, and still an exact JavaScript number in minor units."""


def minor_units(amount: Decimal, currency: str) -> int:
    """Convert an amount to minor units, exactly.

    >>> minor_units(Decimal("89.00"), "EUR"), minor_units(Decimal("1200"), "JPY")
    (8900, 1200)

    Raises:
        Unreadable: the amount is negative, too large, or has more decimals than the currency.
    """
    if not amount.is_finite() or not 0 <= amount <= _MAX_AMOUNT:
        raise Unreadable("The order's total is not an amount of money.")
    decimals = _DECIMALS.get(currency, 2)
    minor = int(amount.scaleb(decimals))
    if Decimal(minor).scaleb(-decimals) != amount:
        raise Unreadable(f"The order's total has more decimals than {currency} has.")
    return minor
