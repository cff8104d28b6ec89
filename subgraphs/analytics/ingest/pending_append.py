"""The events of one request while they are appended to the stream, and its 202 afterwards."""

from collections.abc import Sequence

import msgspec

from subgraphs.analytics.ingest import responses
from subgraphs.analytics.ingest.admission import SiteClient
from subgraphs.analytics.ingest.event_parsing import RejectedEvent
from subgraphs.analytics.ingest.http_request import HttpRequest
from subgraphs.analytics.ingest.refusals import refuse
from subgraphs.analytics.ingest.responses import Result
from subgraphs.kernel.streams.envelope import Event, encode
from subgraphs.kernel.streams.interface import Record

_to_text = msgspec.to_builtins


class PendingAppend:
    """What GroupCommit appends and calls back."""

    __slots__ = ("_client", "_rejected", "_request", "records", "since")

    def __init__(
        self,
        request: HttpRequest,
        client: SiteClient,
        events: Sequence[Event | RejectedEvent],
        since: float,
    ) -> None:
        self._request = request
        self._client = client
        self._rejected: dict[int, RejectedEvent] = {}
        """By position in the request."""
        self.records: list[Record] = []
        self.since = since
        for position, event in enumerate(events):
            if isinstance(event, RejectedEvent):
                self._rejected[position] = event
            else:
                record = Record(client.stream_key, _to_text(event.id), encode(event))
                self.records.append(record)

    def complete(self, outcome: Sequence[bool] | Exception) -> None:
        """Answer the request: either all accepted events are on disk, or none is."""
        request, records = self._request, self.records
        if isinstance(outcome, Exception):
            self._client.bucket.refund(len(records) + len(self._rejected))
            refuse(request, outcome)
        elif records and not self._rejected and all(outcome):
            ids = [record.id for record in records]
            request.answer(responses.all_accepted(ids, request.origin))
        else:
            request.answer(responses.accepted(self._results(outcome), request.origin))

    def _results(self, outcome: Sequence[bool]) -> list[Result]:
        results = [
            Result(record.id, "accepted" if is_new else "duplicate")
            for record, is_new in zip(self.records, outcome, strict=True)
        ]
        for position, event in self._rejected.items():  # ascending, so each insert fits
            results.insert(position, Result(event.id, "refused", event.reason))
        return results
