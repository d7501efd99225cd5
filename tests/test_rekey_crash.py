"""A re-key job over many objects, killed on the way again and again: it goes on where it was, ends, and the old key is free.

A thousand objects and two kills with the ordinary tests; `make rekey` does 100,000 and ten.
"""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from conftest import make_bucket
from harness.admin import Admin
from harness.sse import KMS_KEY_ID, SSE

OBJECTS = int(os.environ.get("STRONGROOM_TEST_REKEY_OBJECTS", "2000"))
KILLS = int(os.environ.get("STRONGROOM_TEST_REKEY_KILLS", "3"))
WRITERS = 8
JOB_SECONDS = 1800


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fill(server, bucket, key, numbers):
    """Small objects under a key, over one connection for each writer."""
    client = server.boto(max_pool_connections=WRITERS)

    def put(number):
        client.put_object(Bucket=bucket, Key=f"{number:06}", Body=b"%d" % number, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(put, numbers))


def test_a_job_killed_on_the_way_ends_and_every_object_opens_with_the_new_key_alone(new_server, capsys):
    server = new_server()
    admin, bucket = Admin(server), make_bucket(server)
    old, new = admin.create_key("old"), admin.create_key("new")
    fill(server, bucket, old, range(OBJECTS))
    before = {row["Key"]: (row["ETag"], row["LastModified"]) for row in listing(server, bucket)}
    # Slow enough to be killed so often, fast enough to end; no limit where the speed is measured.
    rate = max(200, OBJECTS // 20)
    job = admin("POST", "/rekey", {"from_key": old, "to_key": new, "max_objects_per_second": rate}, status=202)["job_id"]
    for kill in range(1, KILLS + 1):
        wait_until(lambda kill=kill: Admin(server)("GET", f"/rekey/{job}")["done"] >= kill * OBJECTS // (KILLS + 2))
        server.kill()
        server.start()
    ended = Admin(server).wait_for_job(job, JOB_SECONDS)
    assert (ended["state"], ended["failed"], ended["remaining"]) == ("Completed", 0, 0), ended
    admin = Admin(server)
    assert admin.usage(old)["versions"] == []
    assert admin.usage(new)["objects"] == OBJECTS
    admin("DELETE", "/keys/delete", {"key_id": old, "force_immediate": True, "confirm_key_id": old})
    client = server.boto(max_pool_connections=WRITERS)

    def check(number):
        reply = client.get_object(Bucket=bucket, Key=f"{number:06}")
        assert reply["Body"].read() == b"%d" % number and reply["SSEKMSKeyId"] == new

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(check, range(OBJECTS)))
    assert {row["Key"]: (row["ETag"], row["LastModified"]) for row in listing(server, bucket)} == before


def test_the_speed_of_a_job_without_a_limit_is_told(new_server, capsys):
    server = new_server()
    admin, bucket = Admin(server), make_bucket(server)
    old, new = admin.create_key("old"), admin.create_key("new")
    count = min(OBJECTS, 20_000)
    fill(server, bucket, old, range(count))
    cpu, begun = cpu_seconds(server.process.pid), time.monotonic()
    job = admin.rekey(from_key=old, to_key=new)
    seconds, cpu = time.monotonic() - begun, cpu_seconds(server.process.pid) - cpu
    assert (job["state"], job["done"]) == ("Completed", count)
    with capsys.disabled():
        print(f"\nre-key: {count} objects, {count / seconds:.0f}/s, {1000 * cpu / count:.3f} ms of server CPU an object")


def test_a_job_is_correct_under_concurrent_overwrites_copies_and_deletes(new_server):
    server = new_server()
    admin, bucket = Admin(server), make_bucket(server)
    old, new = admin.create_key("old"), admin.create_key("new")
    fill(server, bucket, old, range(600))
    stop, wrong = threading.Event(), []
    headers = {SSE: "aws:kms", KMS_KEY_ID: old}

    def churn(start):
        raw, number = server.raw(), start
        while not stop.is_set():
            key = f"{number % 600:06}"
            body = b"again-%d" % number
            raw.put(bucket, key, body, headers).ok()
            if raw.get(bucket, key).ok().body != body:
                wrong.append(key)
            raw.copy(f"{bucket}/{key}", bucket, f"copy-{key}", headers).ok()
            raw.delete(bucket, f"copy-{key}").ok(204)
            number += 4

    threads = [threading.Thread(target=churn, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    try:
        job = admin.rekey(from_key=old, to_key=new, max_objects_per_second=300)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert (job["state"], job["failed"]) == ("Completed", 0) and wrong == []
    again = admin.rekey(from_key=old, to_key=new)
    assert again["state"] == "Completed" and admin.usage(old)["versions"] == []
    raw = server.raw()
    for number in range(600):
        body = raw.get(bucket, f"{number:06}").ok().body
        assert body == b"%d" % number or body.startswith(b"again-"), body


def listing(server, bucket):
    pages = server.boto().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [row for page in pages for row in page.get("Contents", [])]


def wait_until(holds, seconds=JOB_SECONDS):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
