"""The ingest endpoint, POST /v1/events: receives the snippet's events and appends them durably.

connection      one HTTP/1.1 connection: answers in the order of the requests, time limits
request_reader  from a connection's bytes to requests; size limits
http_request    one request, answered once
endpoint        the way of one request: parse, admit, validate, append
admission       site keys, origins, rate limits
token_buckets   one token bucket per site
backlog         which sites to refuse while the stream is full
event_parsing   from JSON to events of the stream
bots            the published rules that tell bots from visitors
pending_append  the events of one request until the stream has them
group_commit    one append for many requests
responses       HTTP responses as bytes
refusals        from an error to the response
server          start, time limits, graceful shutdown

The stream worker may use `bots` and `event_parsing`; nothing else enters.
"""
