"""The page that `make bench` writes."""

from datetime import UTC, datetime

import pytest

from tests.bench.__main__ import Outcome, render
from tests.bench.report import Figure

pytestmark = pytest.mark.unit


def test_page_has_a_row_for_each_figure_and_names_failed_benches() -> None:
    figure = Figure("rows", 12_345.6, "rows/s", "COPY: 20,000/s", 0.62, "the peer", 7.25)
    outcomes = [
        Outcome("ledger", [figure._asdict(), {"figure": "a | b", "value": 3, "unit": "ms"}], None),
        Outcome("live", [], "live failed: run it"),
    ]

    page = render(outcomes, {"Processor": "Fast"}, datetime(2026, 1, 2, 3, 4, tzinfo=UTC))

    assert (
        page.splitlines()[-11:]
        == [
            "Measured 2026-01-02 03:04 UTC:",
            "",
            "- Processor: Fast",
            "",
            "| bench | figure | value | unit | µs of CPU | peer | ratio | bound |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            "| ledger | rows | 12,346 | rows/s | 7.25 | COPY: 20,000/s | 0.62 | the peer |",
            "| ledger | a \\| b | 3 | ms |  |  |  |  |",
            "",
            "Without figures:",
            "",
            "- live failed: run it",
        ][-11:]
    )
