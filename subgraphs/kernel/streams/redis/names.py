"""Names of the streams' keys in Redis, and the parts of an entry ID.

An entry ID is `<partition>:<stream ID>`; the stream ID is the one that XADD returns.
"""


def stream_of(topic: str, partition: int) -> str:
    """Returns the stream's key. The braces keep a partition's keys on one node of a cluster."""
    return f"{{{topic}:{partition:02}}}"


def drops_of(topic: str, partition: int) -> str:
    """Returns the key of the drop counters, a hash by reason."""
    return f"{stream_of(topic, partition)}:drops"


def dead_letters_of(topic: str, partition: int) -> str:
    """Returns the key of the stream of dead letters."""
    return f"{stream_of(topic, partition)}:dead"


def lease_of(topic: str, partition: int, group: str) -> str:
    """Returns the key of the lease, which holds the name of the member that reads."""
    return f"{stream_of(topic, partition)}:lease:{group}"


def offsets_of(topic: str, partition: int) -> str:
    """Returns the key of the groups' offsets, a hash by group."""
    return f"{stream_of(topic, partition)}:offsets"


def members_of(topic: str, group: str) -> str:
    """Returns the key of the group's members, sorted by the time of their last heartbeat."""
    return f"{{{topic}}}:members:{group}"


def entry_id(partition: int, stream_id: bytes) -> str:
    return f"{partition:02}:{stream_id.decode()}"


def partition_in(id_: str) -> int:
    return int(id_.partition(":")[0])


def stream_id_in(id_: str) -> str:
    return id_.partition(":")[2]
