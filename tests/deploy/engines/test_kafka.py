"""The folder of a Kafka broker."""

import shutil
import uuid
from pathlib import Path

import pytest

from deploy.local.engines.kafka import broker
from deploy.local.problems import Problem

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="no Java, no Kafka")


def test_a_cluster_id_may_begin_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=0xF8 << 120))

    broker.prepare(tmp_path, port=9092, controller_port=9093)

    lines = (tmp_path / "data" / "meta.properties").read_text().splitlines()
    assert "cluster.id=-AAAAAAAAAAAAAAAAAAAAA" in lines


def test_a_folder_that_cannot_be_formatted_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")

    with pytest.raises(Problem, match=rf"Kafka cannot format {tmp_path}:\n.*data"):
        broker.prepare(tmp_path, port=9092, controller_port=9093)
