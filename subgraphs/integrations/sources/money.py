"""Money as senders write it (a decimal number) and as we keep it (integer minor units)."""

from decimal import Decimal

from subgraphs.integrations.sources import Unreadable

# ISO 4217, where it is not two. CLDR, which libraries go by, tells what people write instead: for
# the Iraqi and the Serbian dinar that is another number.
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
"""No order comes near, and in minor units JavaScript still counts it exactly."""


def minor_units(amount: Decimal, currency: str) -> int:
    """An amount in the currency's smallest units, exactly.

    >>> minor_units(Decimal("89.00"), "EUR"), minor_units(Decimal("1200"), "JPY")
    (8900, 1200)

    Raises:
        Unreadable: no amount that a price can be, or finer than the currency's smallest unit.
    """
    if not amount.is_finite() or not 0 <= amount <= _MAX_AMOUNT:
        raise Unreadable("The order's total is not an amount of money.")
    decimals = _DECIMALS.get(currency, 2)
    minor = int(amount.scaleb(decimals))
    if Decimal(minor).scaleb(-decimals) != amount:
        raise Unreadable(f"The order's total has more decimals than {currency} has.")
    return minor
