"""How the streams on Redis name their keys and entries."""


def stream_of(topic: str, partition: int) -> str:
    return f"{{{topic}:{partition:02}}}"


def drops_of(topic: str, partition: int) -> str:
    return f"{stream_of(topic, partition)}:drops"


def dead_of(topic: str, partition: int) -> str:
    return f"{stream_of(topic, partition)}:dead"


def lease_of(topic: str, partition: int, group: str) -> str:
    return f"{stream_of(topic, partition)}:lease:{group}"


def places_of(topic: str, partition: int) -> str:
    return f"{stream_of(topic, partition)}:places"


def members_of(topic: str, group: str) -> str:
    return f"{{{topic}}}:members:{group}"


def entry_id(partition: int, place: bytes) -> str:
    """An entry's id in the topic, of its partition and its id in the stream."""
    return f"{partition:02}:{place.decode()}"


def partition_in(id_: str) -> int:
    return int(id_.partition(":")[0])


def place_in(id_: str) -> str:
    return id_.partition(":")[2]
