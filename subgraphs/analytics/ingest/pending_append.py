"""One request's events on their way into the stream, and the 202 once they are on disk."""

from collections.abc import Sequence

import msgspec

from subgraphs.analytics.ingest import responses
from subgraphs.analytics.ingest.admission import Guest
from subgraphs.analytics.ingest.event_parsing import Refused
from subgraphs.analytics.ingest.protocol import Request
from subgraphs.analytics.ingest.refusals import refuse
from subgraphs.analytics.ingest.responses import Result
from subgraphs.kernel.streams.envelope import Event, encode
from subgraphs.kernel.streams.interface import Record

_text_of = msgspec.to_builtins


class Taking:
    """What GroupCommit takes and calls back."""

    __slots__ = ("_guest", "_refused", "_request", "records", "since")

    def __init__(
        self, request: Request, guest: Guest, judged: Sequence[Event | Refused], since: float
    ) -> None:
        self._request = request
        self._guest = guest
        self._refused: dict[int, Refused] = {}
        """By their place among the events."""
        self.records: list[Record] = []
        self.since = since
        for place, item in enumerate(judged):
            if isinstance(item, Refused):
                self._refused[place] = item
            else:
                self.records.append(Record(guest.key, _text_of(item.id), encode(item)))

    def appended(self, outcome: Sequence[bool] | Exception) -> None:
        """Say what became of each event; all of them are on disk, or none is."""
        request, records = self._request, self.records
        if isinstance(outcome, Exception):
            self._guest.bucket.give_back(len(records) + len(self._refused))
            refuse(request, outcome)
        elif records and not self._refused and all(outcome):
            ids = [record.id for record in records]
            request.answer(responses.all_accepted(ids, request.origin))
        else:
            request.answer(responses.accepted(self._results(outcome), request.origin))

    def _results(self, outcome: Sequence[bool]) -> list[Result]:
        results = [
            Result(record.id, "accepted" if new else "duplicate")
            for record, new in zip(self.records, outcome, strict=True)
        ]
        for place, item in self._refused.items():  # in order, so that each finds its place
            results.insert(place, Result(item.id, "refused", item.reason))
        return results
