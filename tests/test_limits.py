"""Limits of users, and wrong signatures that are answered late."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import forms, sigv4, users
from harness.audit import AuditLog
from harness.iam import allow, client, new_user
from harness.server import Server
from harness.sse import SSE_S3

MIB = 1 << 20
LIMITED = {
    "rated": "requests_per_second = 5",
    "crowded": "requests_at_once = 2",
    "uploader": f"upload_bytes_per_second = {MIB}",
    "downloader": f"download_bytes_per_second = {MIB}",
    "free": "",
}
DELAYING = {"STRONGROOM_DELAY_GUESSES": "true"}


def config(limits):
    """Users of the configuration who may do everything, with these lines of their own."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": users.allowing(["s3:*"])})
    table = "[[users]]\nname = '{}'\naccess_key = '{}'\nsecret_key = '{}'\npolicy = '{}'\n{}\n"
    return "".join(table.format(name, *users.keys(name), policy, lines) for name, lines in limits.items())


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("limited") / "home", "user_requests_per_second = 20\n" + config(LIMITED)).start()
    server.raw().request("PUT", "/limited").ok()
    server.raw().put("limited", "small", b"x", SSE_S3.write).ok()
    server.raw().put("limited", "large", bytes(3 * MIB), SSE_S3.write).ok()
    yield server
    server.stop()
    server.remove()


def user(server, name):
    return server.raw(*users.keys(name))


def metric(server, name):
    status, text = server.fetch(f"https://127.0.0.1:{server.admin_port}/metrics")
    assert status == 200
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE).group(1))


def answers(count, ask):
    """How many of so many requests in a row were answered with each status."""
    statuses = [ask().status for _ in range(count)]
    return {status: statuses.count(status) for status in set(statuses)}


def test_a_user_who_asks_too_often_is_told_to_come_back_and_nobody_else_is(limited):
    rated, before = user(limited, "rated"), metric(limited, 'strongroom_limited_requests_total{limit="requests_per_second"}')
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: rated.get("limited", "small"), range(40)))
    refused = [reply for reply in replies if reply.status == 503]
    assert len(refused) >= 20 and all(reply.status in (200, 503) for reply in replies)
    refused[0].fails(503, "SlowDown")
    assert refused[0].headers["retry-after"] == "1"
    assert answers(40, lambda: limited.raw().get("limited", "small")) == {200: 40}, "root has no limits"
    assert metric(limited, 'strongroom_limited_requests_total{limit="requests_per_second"}') == before + len(refused)
    time.sleep(1.2)
    rated.get("limited", "small").ok()


def test_what_is_refused_is_not_read(limited):
    rated = user(limited, "rated")
    host, length = f"127.0.0.1:{limited.port}", {"content-length": str(64 * MIB)}
    headers = sigv4.sign(rated.credentials, "PUT", "/limited/never", (), {"host": host}, "UNSIGNED-PAYLOAD")
    while rated.get("limited", "small").status == 200:
        pass
    began = time.monotonic()
    reply = rated.send("PUT", "/limited/never", headers | length | {"expect": "100-continue"}, b"")
    assert reply.status == 503 and time.monotonic() - began < 5
    limited.raw().get("limited", "never").fails(404, "NoSuchKey")


def test_users_of_the_store_have_the_limits_of_all(limited):
    key = new_user(client(limited, "iam"), "stored", allow("s3:*"))
    stored = limited.raw(key["AccessKeyId"], key["SecretAccessKey"])
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: stored.request("GET", "/").status, range(80)))
    assert statuses.count(503) >= 20 and set(statuses) == {200, 503}
    # One who has a limit of another kind has that one alone.
    assert answers(40, lambda: user(limited, "uploader").get("limited", "small")) == {200: 40}


def test_a_user_has_so_many_requests_under_way_and_the_next_when_one_ends(limited):
    crowded, going, go = user(limited, "crowded"), threading.Semaphore(0), threading.Event()

    def halves():
        going.release()
        yield bytes(1000)
        assert go.wait(60)
        yield bytes(1000)

    def put(number):
        return crowded.request("PUT", f"/limited/half{number}", headers=SSE_S3.write | {"content-length": "2000"}, body=halves(), payload="UNSIGNED-PAYLOAD")

    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(put, number) for number in range(2)]
        going.acquire()
        going.acquire()
        deadline = time.monotonic() + 30
        while crowded.get("limited", "small").status == 200:
            assert time.monotonic() < deadline
        reply = crowded.get("limited", "small")
        reply.fails(503, "SlowDown")
        user(limited, "free").get("limited", "small").ok()
        go.set()
        assert [future.result().status for future in under_way] == [200, 200]
    crowded.get("limited", "small").ok()


def seconds(act):
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_bodies_of_a_user_go_as_fast_as_they_may_in_either_direction_and_none_fails(limited):
    up, down = user(limited, "uploader"), user(limited, "downloader")
    # The first second's worth is there at once.
    assert seconds(lambda: up.put("limited", "up", bytes(3 * MIB), SSE_S3.write).ok()) > 1.8
    assert seconds(lambda: down.get("limited", "large").ok()) > 1.8
    assert limited.raw().get("limited", "up").ok().body == bytes(3 * MIB)
    fields = {"key": "by form"} | SSE_S3.write
    signed = forms.signed(up.credentials, forms.exactly("limited", fields), fields)
    assert seconds(lambda: forms.post(up, "limited", signed, file=bytes(3 * MIB)).ok(204)) > 1.8


def test_who_guesses_secrets_is_answered_ever_later_and_who_has_one_is_not(tmp_path):
    server = Server(tmp_path / "guessed", config({"victim": ""}), env=DELAYING).start()
    server.raw().request("PUT", "/guessed").ok()
    log, right = AuditLog(server), user(server, "victim")
    wrong = server.raw(users.access_key("victim"), "a-wrong-secret-0123456789")
    times = [seconds(lambda: wrong.request("GET", "/guessed").fails(403, "SignatureDoesNotMatch")) for _ in range(40)]
    assert min(times[20:30]) > 0.1 and min(times[30:]) > 0.2
    # The same user, from the same address, with the right secret; and the port that seals.
    right.request("GET", "/guessed").ok()
    assert server.health("ready", admin=True) == 200
    assert metric(server, "strongroom_wrong_signatures_total") == 40
    [event] = [event for event in log.events() if event["operation"] == "GuessSecretKey"]
    assert (event["who"], event["outcome"], event["details"]) == ("anonymous", {"error": "SignatureDoesNotMatch"}, {"count": "21", "source_ip": "127.0.0.1"})
    # Unknown keys count, and calls of IAM do.
    assert seconds(lambda: server.raw("AKNOBODY0000", "a-wrong-secret-0123456789").request("GET", "/").fails(403, "InvalidAccessKeyId")) > 0.3
    server.stop()
    server.remove()


def test_a_hundred_connections_that_guess_keep_nobody_waiting(tmp_path):
    server = Server(tmp_path / "stormed", config({"victim": ""}), env=DELAYING).start()
    server.raw().request("PUT", "/stormed").ok()
    wrong, ended = server.raw(users.access_key("victim"), "a-wrong-secret-0123456789"), threading.Event()

    def guess(_):
        while not ended.is_set():
            wrong.request("GET", "/stormed")

    with ThreadPoolExecutor(100) as pool:
        guessing = [pool.submit(guess, number) for number in range(100)]
        time.sleep(3)
        before = metric(server, "strongroom_wrong_signatures_total")
        time.sleep(5)
        # A hundred connections that wait five seconds each.
        assert metric(server, "strongroom_wrong_signatures_total") - before <= 220
        assert max(seconds(lambda: user(server, "victim").request("GET", "/stormed").ok()) for _ in range(5)) < 4, "a refusal would have waited five seconds"
        ended.set()
        for one in guessing:
            one.result()
    server.stop()
    server.remove()
