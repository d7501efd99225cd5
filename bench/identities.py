#!/usr/bin/env python3
"""What identities cost: CPU of a GET of 4 KiB by root, and by a user of the store with ten policies, in turns over TLS; and the memory of many users.

usage: python bench/identities.py     after tests/install.sh, make build and a build of bench/s3load
Env: ROUNDS (6) of each, SECONDS (4) of one, USERS (100000) with a policy and an access key each, of which SAMPLE (5000) sign a request,
SERVER (target/release/strongroom)

Everything listens on loopback and is stopped at the end.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))
os.environ["STRONGROOM_TEST_BINARY"] = os.environ.get("SERVER", str(REPOSITORY / "target/release/strongroom"))

import boto3  # noqa: E402

from harness import sigv4  # noqa: E402
from harness.server import REGION, Server  # noqa: E402

S3LOAD = REPOSITORY / "target/s3load/release/s3load"
ROUNDS = int(os.environ.get("ROUNDS", 6))
SECONDS = int(os.environ.get("SECONDS", 4))
USERS = int(os.environ.get("USERS", 100_000))
SAMPLE = int(os.environ.get("SAMPLE", 5_000))
CLIENTS = 4
BUCKET = "identities"
TICKS = os.sysconf("SC_CLK_TCK")


def policy(number):
    """Five statements, with a condition and a variable, of which one lets the bucket be read."""
    statements = [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::folder-{number}/${{aws:username}}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::folder-{number}", "Condition": {"StringLike": {"s3:prefix": "home/*"}}},
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::closed-{number}/*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def cpu_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def get_cost(server, access_key, secret_key):
    """CPU milliseconds of one GET."""
    command = [S3LOAD, "--endpoint", server.endpoint, "--ak", access_key, "--sk", secret_key, "--op", "get", "--mode", "sse-s3", "--bucket", BUCKET]
    limits = ["--size", "4096", "--concurrency", str(CLIENTS), "--runs", "1", "--warm-secs", "1", "--secs", str(SECONDS), "--no-populate"]
    with tempfile.NamedTemporaryFile() as answer:
        of_server = ["--server", f"strongroom={server.process.pid}", "--json", answer.name]
        subprocess.run([*command, *limits, *of_server], check=True, stdout=subprocess.PIPE)
        return json.loads(Path(answer.name).read_text())["server_cpu_ms_per_op"]


def by_user_and_root(server, iam):
    iam.create_user(UserName="ten")
    for number in range(10):
        arn = iam.create_policy(PolicyName=f"ten-{number}", PolicyDocument=policy(number))["Policy"]["Arn"]
        iam.attach_user_policy(UserName="ten", PolicyArn=arn)
    key = iam.create_access_key(UserName="ten")["AccessKey"]
    populate = [S3LOAD, "--endpoint", server.endpoint, "--ak", server.access_key, "--sk", server.secret_key, "--op", "get", "--mode", "sse-s3"]
    subprocess.run([*populate, "--bucket", BUCKET, "--size", "4096", "--runs", "1", "--secs", "1", "--no-cleanup"], check=True, stdout=subprocess.PIPE)
    who = {"root": (server.access_key, server.secret_key), "a user with ten policies": (key["AccessKeyId"], key["SecretAccessKey"])}
    costs = {name: [] for name in who}
    for _ in range(ROUNDS):
        for name, keys in who.items():
            costs[name].append(get_cost(server, *keys))
    print("| CPU ms of a GET of 4 KiB by | median | least | most |\n| --- | --- | --- | --- |")
    for name, found in costs.items():
        print(f"| {name} | {statistics.median(found):.4f} | {min(found):.4f} | {max(found):.4f} |")


def call(server, credentials, **parameters):
    """A call of IAM, and its answer."""
    raw = server.raw(*credentials)
    body = urlencode({"Version": "2010-05-08"} | parameters).encode()
    headers = {"host": f"127.0.0.1:{server.port}", "content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
    signed = sigv4.sign(raw.credentials, "POST", "/", (), headers, hashlib.sha256(body).hexdigest(), scope=sigv4.Scope(service="iam"))
    return raw.send("POST", "/", signed, body).ok().body.decode()


def many_users(server):
    root = (server.access_key, server.secret_key)
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]})

    def add(number):
        call(server, root, Action="CreateUser", UserName=f"user-{number:06}")
        call(server, root, Action="PutUserPolicy", UserName=f"user-{number:06}", PolicyName="p", PolicyDocument=document)
        made = call(server, root, Action="CreateAccessKey", UserName=f"user-{number:06}")
        return tuple(made.split(f"<{name}>")[1].split("<")[0] for name in ("AccessKeyId", "SecretAccessKey"))

    before, spent = server.rss_bytes(), cpu_seconds(server)
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(add, range(USERS)))
        spent = cpu_seconds(server) - spent
        list(pool.map(lambda keys: server.raw(*keys).request("GET", "/").ok(), keys[:: max(1, USERS // SAMPLE)]))
    print(f"\n{USERS} users, {spent * 1000 / USERS / 3:.2f} CPU ms for each call; {(server.rss_bytes() - before) / 2**20:.0f} MiB more than before, {SAMPLE} of them active")


def main():
    with tempfile.TemporaryDirectory(prefix="identities.", dir=REPOSITORY / "target") as folder:
        server = Server(Path(folder) / "home").start()
        try:
            root = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
            by_user_and_root(server, boto3.client("iam", endpoint_url=server.endpoint, verify=str(server.ca), region_name=REGION, **root))
            many_users(server)
        finally:
            server.stop()
            server.remove()


if __name__ == "__main__":
    main()
