"""How the broker is started: settings, formatted folder, command line."""

import base64
import shutil
import subprocess
import uuid
from pathlib import Path

from deploy.local.engines.kafka.jars import are_here, jars_folder
from deploy.local.problems import Problem

HEAP = "256m"
"""Enough for one machine's streams; the JVM itself takes as much again."""

_MAIN, _FORMAT = "kafka.Kafka", "kafka.tools.StorageTool"


def prepare(folder: Path, *, port: int, controller_port: int) -> list[str]:
    """Format the folder if it is new; answers the command that runs a broker on it.

    Raises:
        Problem: there is no Java or no Kafka here, or it cannot write to the folder.
    """
    if shutil.which("java") is None:
        raise Problem("java is not on PATH: install Java 17 or newer.")
    if not are_here():
        raise Problem("Kafka's jars are not here: install Maven, then run `make setup`.")
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    lines = _settings(folder, port, controller_port).items()
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines))
    if not (folder / "data" / "meta.properties").exists():
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # In one word: a cluster's id may begin with a dash.
        command = [*_java(_FORMAT), "format", f"--cluster-id={cluster}", "-c", str(properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Problem(f"Kafka cannot format {folder}:\n{done.stderr.strip()}")
    return [*_java(_MAIN), str(properties)]


def _java(main: str) -> list[str]:
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]  # one small JVM that starts in seconds
    log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return ["java", f"-Xmx{HEAP}", *quick, log, "-cp", f"{jars_folder()}/*", main]


def _settings(folder: Path, port: int, controller_port: int) -> dict[str, str]:
    broker, controller = f"127.0.0.1:{port}", f"127.0.0.1:{controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "log.dirs": str(folder / "data"),
        # A cluster's copies stand in for the disk; a broker that is alone syncs every append.
        "log.flush.interval.messages": "1",
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # 128 MB by default, of a heap of twice that.
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    }
