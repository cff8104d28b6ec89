"""What stands behind the snippet's door, POST /v1/events; `ingest.py` opens it.

protocol    HTTP/1.1 on one connection: limits while reading, answers in the order of the requests
answers     what is said, as bytes
door        the way of one request: read, admitted, judged, appended
taking      its events on their way, and the 202
refusing    what went wrong, as an answer
admission   who may send: site keys, origins, limits
buckets     how much a site may send: a token bucket each
backlog     whom to refuse while the stream is full
server      the listening process: start, time limits, a graceful end
"""
