"""A server's life in which clients use every way to write and every system call is recorded, and what its disks may hold after a power cut."""

import random
import signal
import subprocess
import time

from powercut import client, record
from powercut.clients import BUCKET, Buckets, Keys, Objects
from powercut.disk import SOME, WAYS, Disk, lay_out
from powercut.files import Files
from powercut.ledger import ABSENT, Ledger
from powercut.store import Store

# The server lives three times. In the first two, clients write for at most this long before the server is killed. In the third they write for at
# least this long before it is stopped: until there were enough requests for several files of the audit log, or until that takes too long.
PHASES_SECONDS = (1.0, 1.0, 1.5)
ENOUGH_REQUESTS = 450
LONGEST_SECONDS = 30
# The server is killed when one of its threads begins its n-th sync, with n from this range: after something was written or named, and before it
# is durable. That may be during the start.
FATAL_SYNCS = (3, 60)


class RecordLacksSomething(Exception):
    """What was recorded of a life is not what is on the disks: nothing can be said about the server."""


def recorded(home, seed):
    """A life whose record is whole. The kill of a process with many threads may leave open which of their calls had taken effect, so a
    record that lacks something is made again; three of them in a row mean that the server makes calls that the model does not know."""
    for attempt in range(3):
        try:
            return Life(home / f"attempt-{attempt}", seed + attempt)
        except RecordLacksSomething as error:
            lacking = error
            print(f"recorded again: {lacking}")
    raise lacking


class Life:
    """The effects on two disks, and what clients were told."""

    def __init__(self, home, seed):
        self.random, self.ledger = random.Random(seed), Ledger()
        self.store = Store(home)
        for disk in self.store.disks:
            disk.mkdir(parents=True)
        self.files = Files(self.store.disks)
        clients = [Objects(self.ledger, seed + number, f"writer-{number}") for number in range(4)]
        clients += [Buckets(self.ledger, seed + 10), Keys(self.ledger, seed + 11)]
        try:
            for number, seconds in enumerate(PHASES_SECONDS):
                is_killed = number + 1 < len(PHASES_SECONDS)
                clients = self._live(clients, self.store.home / f"calls-{number}", seconds, is_killed)
        except BaseException:
            self.store.discard()
            raise
        self.effects, self.acknowledged = self.files.effects, self.ledger.moments()
        self.began = min(effect.began for effect in self.effects)

    def _live(self, clients, path, seconds, is_killed):
        """Runs the next part of its life. Returns the clients as they are afterwards."""
        fatal = [f"--inject=fsync:signal=KILL:when={self.random.randint(*FATAL_SYNCS)}"] if is_killed else []
        self.store.prefix = record.prefix(path, *fatal)
        if self._starts(is_killed):
            clients = [one.on(self.store) for one in clients]
            self._write(clients, seconds, is_killed)
        self.files.follow(*record.calls(path))
        differences = self.files.differences()
        if differences:
            raise RecordLacksSomething("; ".join(differences[:20]))
        return clients

    def _starts(self, is_killed):
        try:
            self.store.start()
        except RuntimeError:
            if not is_killed or self.store.process.returncode != -signal.SIGKILL:
                raise
            return False
        return True

    def _write(self, clients, seconds, is_killed):
        try:
            if ABSENT in self.ledger.outcomes(("bucket", BUCKET), time.time_ns()):
                with self.ledger.doing("bucket", {("bucket", BUCKET): "plain"}):
                    assert client.s3(self.store).request("PUT", f"/{BUCKET}").status in (200, 409)
        except OSError:
            assert is_killed
        for one in clients:
            one.start()
        if is_killed:
            self._wait_for_the_kill(seconds)
        else:
            self._wait_for_enough(seconds)
        for one in clients:
            one.stopping.set()
        for one in clients:
            one.join(120)
            assert not one.is_alive()
            if error := one.unexpected or (one.lost if not is_killed else None):
                raise error
        if not is_killed:
            Objects(self.ledger, self.random.random(), "large").on(self.store).put_large()
            assert self.store.stop() == 0

    def _wait_for_the_kill(self, seconds):
        try:
            self.store.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.store.kill()

    def _wait_for_enough(self, seconds):
        longest = time.monotonic() + LONGEST_SECONDS
        time.sleep(seconds)
        while len(self.ledger.operations) < ENOUGH_REQUESTS and time.monotonic() < longest:
            time.sleep(0.1)

    def moment(self, chance):
        """When the power fails: mostly right after something was acknowledged, or just before; otherwise when a call begins or returns."""
        kind = chance.random()
        if kind < 0.65:
            return chance.choice(self.acknowledged) - (kind < 0.15)
        effect = chance.choice(self.effects)
        return chance.choice([effect.began, effect.returned, effect.returned - 1])

    def cut(self, moment, chance, home, effects=None):
        """A server on what the disks may hold at that moment, and for each disk how its content was chosen."""
        store, ways = Store(home, like=self.store), []
        for disk, copy in zip(self.store.disks, store.disks):
            ways.append(way := chance.choice([*WAYS, SOME, SOME]))
            cut = Disk(self.files.root(disk), self.effects if effects is None else effects, moment)
            lay_out(cut.after_cut(way, chance, self.files.directories), copy)
        return store, ways
