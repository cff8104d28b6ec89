"""Prepares a broker: its jars, settings, formatted folder and command line."""

import base64
import shutil
import subprocess
import uuid
from pathlib import Path

from deploy.local.engines.kafka.jars import fetch_jars, jars_folder
from deploy.local.problems import Problem

HEAP = "256m"
"""Enough for the streams of one machine; the JVM itself takes as much again."""

_MAIN, _FORMAT = "kafka.Kafka", "kafka.tools.StorageTool"


def prepare(folder: Path, *, port: int, controller_port: int) -> list[str]:
    """The command that runs a broker. Fetches the jars and formats the folder the first time.

    Raises:
        Problem: Java is missing, the jars cannot be fetched, or the folder cannot be formatted.
    """
    if shutil.which("java") is None:
        raise Problem("java is not on PATH: install Java 17 or newer.")
    fetch_jars()
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    lines = _settings(folder, port, controller_port).items()
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines))
    if not (folder / "data" / "meta.properties").exists():
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # As one argument, because a cluster's ID may begin with a dash.
        command = [*_java(_FORMAT), "format", f"--cluster-id={cluster}", "-c", str(properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Problem(f"Kafka cannot format {folder}:\n{done.stderr.strip()}")
    return [*_java(_MAIN), str(properties)]


def _java(main: str) -> list[str]:
    fast_start = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return ["java", f"-Xmx{HEAP}", *fast_start, log, "-cp", f"{jars_folder()}/*", main]


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
        # A cluster relies on its replicas; a single broker must sync every append.
        "log.flush.interval.messages": "1",
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # The default of 128 MB would take half of the heap.
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    }
