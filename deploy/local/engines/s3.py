"""`python -m deploy.local.engines.s3 --port N --bucket NAME`: moto's S3 server on loopback.

It implements storage classes and restores. It keeps objects in memory, so they are lost when it
ends; it creates the bucket at each start.
"""

import argparse
import logging
import signal
import sys
import threading

from deploy.local.stack.process import Process

BUCKET = "proofgraph"
REGION = "us-east-1"
CREDENTIAL = "local"
"""The key and the secret; moto accepts any."""


def s3_process(port: int) -> Process:
    """The server; its bucket exists once it is ready."""
    command = [
        sys.executable,
        "-m",
        "deploy.local.engines.s3",
        "--port",
        str(port),
        "--bucket",
        BUCKET,
    ]
    return Process(name="s3", command=command, ready_line="ready")


def main() -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    parser = argparse.ArgumentParser(prog="python -m deploy.local.engines.s3", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bucket", required=True)
    options = parser.parse_args()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", options.port, verbose=False)
    server.start()
    boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{options.port}",
        region_name=REGION,
        aws_access_key_id=CREDENTIAL,
        aws_secret_access_key=CREDENTIAL,
    ).create_bucket(Bucket=options.bucket)
    print("ready", flush=True)
    stopping.wait()
    server.stop()


if __name__ == "__main__":
    main()
