#!/usr/bin/env python3
"""What an event costs the server: CPU of PUTs into a bucket without a configuration, into one that tells a receiver, and into one whose receiver is away.

    .tools/venv/bin/python bench/notifications.py [target/release/strongroom]

Objects have 1 KiB and lie under SSE-S3; eight clients over TLS, and the receiver beside them on this machine over plain HTTP.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))
if len(sys.argv) > 1:
    os.environ["STRONGROOM_TEST_BINARY"] = sys.argv[1]

from harness.receiver import Receiver  # noqa: E402
from harness.server import Server, free_ports  # noqa: E402

CLIENTS, OBJECTS, ROUNDS = 8, 150, 3
PUTS = CLIENTS * OBJECTS


class Counting(Receiver):
    """Verifies nothing: the receiver's own work is not what is measured."""

    def note(self, delivery):
        self.got.append(delivery)
        return 0


def cpu_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def put_all(server, bucket):
    def client(number):
        raw = server.raw()
        for object_number in range(OBJECTS):
            raw.put(bucket, f"{number}/{object_number}", b"x" * 1024).ok()

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.monotonic()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return PUTS / (time.monotonic() - began)


def main():
    with tempfile.TemporaryDirectory() as home:
        receiver = Counting(Path(home))
        away = receiver.target("away", url=f"http://127.0.0.1:{free_ports(1)[0]}/")
        server = Server(Path(home) / "server", config=receiver.target("there") + away).start()
        for bucket, target in [("silent", None), ("told", "there"), ("unheard", "away")]:
            server.raw().request("PUT", f"/{bucket}").ok()
            if target:
                queue = {"QueueArn": f"arn:strongroom:sqs::{target}:webhook", "Events": ["s3:ObjectCreated:*"]}
                configuration = {"QueueConfigurations": [queue]}
                server.boto().put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration, SkipDestinationValidation=True)
            put_all(server, bucket)
        time.sleep(3)
        for _ in range(ROUNDS):
            for bucket in ("silent", "told", "unheard"):
                before, told = cpu_seconds(server), len(receiver.got)
                rate = put_all(server, bucket)
                while bucket == "told" and len(receiver.got) < told + PUTS:
                    time.sleep(0.05)
                time.sleep(1)
                print(f"{bucket:8} {(cpu_seconds(server) - before) / PUTS * 1000:.2f} ms of CPU each, {rate:.0f} PUTs each second")
        receiver.close()
        server.remove()


if __name__ == "__main__":
    main()
