"""The power fails: what was acknowledged is there, nothing is half there, the server starts and reports no damage.

The story: clients use a server in every way that writes. It is killed twice and started again, and every system call that changes its files is
recorded. A model of the disk says what may be there if the power fails at some moment: everything synced by then, and any part of the rest. The
data and the keys are on separate disks. A server is started on such a state, and asked about everything that any client was told by then.

STRONGROOM_TEST_POWERCUTS is the number of cuts, and STRONGROOM_TEST_POWERCUT_SEED chooses them.
"""

import os
import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from powercut.files import Named, Synced
from powercut.judge import Judge, judge_audit
from powercut.life import recorded

CUTS = int(os.environ.get("STRONGROOM_TEST_POWERCUTS", "40"))
SEED = int(os.environ.get("STRONGROOM_TEST_POWERCUT_SEED", random.SystemRandom().randrange(1 << 32)))
# One life serves so many cuts, then another one is recorded.
CUTS_PER_LIFE = 250
SERVERS_AT_ONCE = 4
# Files of the store by their names, or for directories by their paths: a server that does not sync them is found out.
LACKING = {
    "the content of blobs": r"^[0-9a-f]{32}$",
    "the names of blobs": r"/blobs/..$",
    "the content of key files": r"\.key\.json$",
    "the names of key files": r"/kms$",
    "the master key": r"^kms-master\.key$",
    "the catalog's log": r"^catalog\.db-wal$",
    "the audit log": r"^audit-.*\.jsonl$",
    "the names in the audit log": r"/audit$",
    "the names in DATA_DIR": r"/data-disk/store$",
    "DATA_DIR itself": r"/data-disk$",
    "the directory of secrets itself": r"/key-disk$",
}
MOST_CUTS_UNTIL_NOTICED = 60


def survives(life, home, seed, effects=None):
    """Makes one cut and judges it. Returns what is wrong, or None: that the server does not start, or knows something else than it should."""
    chance = random.Random(seed)
    moment = life.moment(chance)
    store, ways = life.cut(moment, chance, home, effects)
    try:
        store.start()
        Judge(store, life.ledger, moment).judge()
        store.kill()
        judge_audit(store, life.ledger, moment)
    except (AssertionError, RuntimeError) as error:
        after_ms = (moment - life.began) / 1_000_000
        return f"cut {seed}, {after_ms:.1f} ms after the first call, data: {ways[0]}, keys: {ways[1]}: {type(error).__name__}: {error}"
    finally:
        store.discard()
    return None


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    made = recorded(tmp_path_factory.mktemp("life"), SEED)
    yield made
    made.store.remove()


@pytest.mark.timeout(300 + 10 * CUTS)
def test_everything_acknowledged_survives_a_power_cut(life, tmp_path):
    print(f"seed {SEED}")
    failures = cut_all(life, tmp_path, range(SEED, SEED + min(CUTS, CUTS_PER_LIFE)))
    for first in range(CUTS_PER_LIFE, CUTS, CUTS_PER_LIFE):
        further = recorded(tmp_path / f"life-{first}", SEED + first)
        failures += cut_all(further, tmp_path, range(SEED + first, SEED + min(CUTS, first + CUTS_PER_LIFE)))
        further.store.remove()
    assert not failures, f"seed {SEED}: {len(failures)} of {CUTS} cuts:\n" + "\n".join(failures[:10])


def cut_all(life, home, seeds):
    print(f"{len(seeds)} cuts in {len(life.ledger.operations)} requests and {len(life.effects)} effects")
    with ThreadPoolExecutor(SERVERS_AT_ONCE) as pool:
        return [failure for failure in pool.map(lambda seed: survives(life, home / f"cut-{seed}", seed), seeds) if failure]


@pytest.mark.timeout(300 + 10 * MOST_CUTS_UNTIL_NOTICED)
@pytest.mark.parametrize("what", LACKING)
def test_a_server_that_does_not_sync_is_found_out(what, life, tmp_path):
    """Without those syncs, the record is that of a server that does not make them. If the test above could not fail, nobody would notice."""
    lacking = inodes(life, LACKING[what])
    effects = [effect for effect in life.effects if not (isinstance(effect, Synced) and effect.inode in lacking)]
    assert len(effects) < len(life.effects), "there are such syncs"
    seeds = range(SEED, SEED + MOST_CUTS_UNTIL_NOTICED)
    assert any(survives(life, tmp_path / f"cut-{seed}", seed, effects) for seed in seeds), f"seed {SEED}: nobody notices"


def inodes(life, pattern):
    """The inodes of files that ever had such a name, and of directories with such a path."""
    directories = life.files.directories
    found = {inode for path, inode in life.files.walk() if inode in directories and re.search(pattern, str(path))}
    found |= {inode for disk, inode in life.files.roots.items() if re.search(pattern, disk)}
    for effect in life.effects:
        if isinstance(effect, Named):
            named = {inode for name, inode in effect.changes if inode is not None and re.search(pattern, name.decode())}
            found |= named - directories.keys()
    return found
