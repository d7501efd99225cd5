"""What strace records of a program is what the program did to its files, byte for byte."""

import subprocess
import sys
import time

import pytest

from powercut import record
from powercut.files import Files, Named, Synced, Truncated, Written

USE = """
import os, sys, threading
data, keys = sys.argv[1:]
os.mkdir(f"{data}/sub")
f = os.open(f"{data}/a", os.O_CREAT | os.O_RDWR)
os.write(f, b'bytes "with" \\\\ and \\n\\0\\xff')
os.pwrite(f, b"zz", 9000)
os.writev(f, [b"ab", b"cd" * 5000])
os.fsync(f)
os.ftruncate(f, 8000)
os.lseek(f, 4, os.SEEK_SET)
os.write(f, b"moved")
os.write(os.dup(f), b"shared")
os.fdatasync(f)
os.rename(f"{data}/a", f"{data}/sub/b")
os.link(f"{data}/sub/b", f"{data}/c")
os.unlink(f"{data}/sub/b")
os.fsync(os.open(f"{data}/sub", os.O_RDONLY))
for _ in range(2):
    log = os.open(f"{keys}/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(log, b"line\\n")
    os.close(log)
os.close(os.open(f"{data}/c", os.O_WRONLY | os.O_TRUNC))
def work(number):
    for turn in range(50):
        path = f"{keys}/{number}-{turn}"
        file = os.open(path + ".tmp", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(file, b"%d/%d" % (number, turn) * 100)
        os.fsync(file)
        os.close(file)
        os.rename(path + ".tmp", path if turn % 2 else f"{keys}/{number}")
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
os.rmdir(f"{data}/sub")
"""
KILLED = """
import os, sys
data, keys = sys.argv[1:]
for turn in range(4):
    f = os.open(f"{data}/a-{turn}", os.O_CREAT | os.O_RDWR)
    os.write(f, b"x" * (1 << 20))
    os.rename(f"{data}/a-{turn}", f"{data}/b-{turn}")
    os.link(f"{data}/b-{turn}", f"{data}/c-{turn}")
    os.ftruncate(f, 0)
    os.unlink(f"{data}/c-{turn}")
    os.mkdir(f"{data}/d-{turn}")
"""


def disks(tmp_path):
    made = [tmp_path / "data", tmp_path / "keys"]
    for disk in made:
        disk.mkdir()
    return made


def followed(tmp_path, program, is_killed=False, options=()):
    made, path = disks(tmp_path), tmp_path / "calls"
    process = subprocess.Popen([*record.prefix(path, *options), sys.executable, "-c", program, *made])
    if is_killed:
        while not (made[0] / "b-1").exists():
            assert process.poll() is None, "the program has ended before it came so far"
            time.sleep(0.001)
        process.kill()
    process.wait(60)
    files = Files(made)
    files.follow(*record.calls(path))
    return files


def test_the_files_that_are_followed_are_those_on_the_disks(tmp_path):
    files = followed(tmp_path, USE)
    assert files.differences() == []
    kinds = {kind: sum(isinstance(effect, kind) for effect in files.effects) for kind in (Written, Truncated, Named, Synced)}
    assert kinds[Truncated] == 2 and kinds[Synced] == 3 + 400 and kinds[Written] == 5 + 2 + 400, kinds
    assert all(effect.began <= effect.returned for effect in files.effects)


def test_a_sync_is_the_file_s_and_comes_after_what_it_follows(tmp_path):
    files = followed(tmp_path, USE)
    wrote, synced = ([effect for effect in files.effects if isinstance(effect, kind)] for kind in (Written, Synced))
    for sync in synced[3:]:
        [write] = [effect for effect in wrote if effect.inode == sync.inode]
        assert write.returned <= sync.began


@pytest.mark.parametrize("call", ["write", "rename", "linkat", "ftruncate", "unlink", "mkdir"])
def test_a_call_in_which_the_program_was_killed_is_taken_as_far_as_it_went(tmp_path, call):
    files = followed(tmp_path, KILLED, options=(f"--inject={call}:signal=KILL:when=2",))
    assert files.differences() == []


def test_a_program_that_was_killed_anywhere_is_followed_to_where_it_was(tmp_path):
    assert followed(tmp_path, KILLED, is_killed=True).differences() == []


class Told:
    """A record that is made by hand: calls of a program that was killed at the moment 1,000."""

    def __init__(self, data):
        self.data, self.calls = data, []

    def __call__(self, name, path, *rest, result=0, began, returned):
        arguments = [f'AT_FDCWD, "{self._hex(path)}"' if name == "openat" else f'"{self._hex(path)}"', *rest]
        self.calls.append(record.Call(name, ", ".join(arguments), result, began, returned))

    def path(self, name):
        return f'"{self._hex(name)}"'

    def _hex(self, name):
        return "".join(f"\\x{byte:02x}" for byte in bytes(self.data / name))

    def differences(self, disks):
        files = Files(disks)
        files.follow(sorted(self.calls, key=lambda call: call.began), 1000)
        return files.differences()


@pytest.mark.parametrize("returned", [200, None])
def test_a_directory_is_there_for_another_thread_before_the_call_that_makes_it_returns(tmp_path, returned):
    made = disks(tmp_path)
    (made[0] / "sub").mkdir()
    (made[0] / "sub/file").touch()
    told = Told(made[0])
    told("mkdir", "sub", "0700", began=100, returned=returned)
    told("mkdir", "sub", "0700", result=-17, began=101, returned=110)
    told("openat", "sub/file", "O_WRONLY|O_CREAT|O_EXCL, 0600", result=7, began=120, returned=130)
    assert told.differences(made) == []


@pytest.mark.parametrize("was_done", [True, False])
def test_whether_a_rename_replaced_a_file_before_the_kill_is_told_by_the_old_name(tmp_path, was_done):
    made = disks(tmp_path)
    (made[0] / "key").touch()
    if not was_done:
        (made[0] / "key.tmp").touch()
    told = Told(made[0])
    for name in ("key", "key.tmp"):
        told("openat", name, "O_WRONLY|O_CREAT, 0600", result=7, began=100, returned=110)
    told("rename", "key.tmp", told.path("key"), began=900, returned=None)
    assert told.differences(made) == []


@pytest.mark.parametrize("was_done", [True, False])
def test_whether_an_opened_file_was_emptied_before_the_kill_is_told_by_its_size(tmp_path, was_done):
    made = disks(tmp_path)
    (made[0] / "file").write_bytes(b"" if was_done else b"x")
    told = Told(made[0])
    told("openat", "file", "O_WRONLY|O_CREAT, 0600", result=7, began=100, returned=110)
    told.calls.append(record.Call("write", '7, "\\x78", 1', 1, 120, 130))
    told("openat", "file", "O_WRONLY|O_TRUNC", result=None, began=900, returned=None)
    assert told.differences(made) == []


def test_what_the_program_wrote_without_a_call_that_is_known_is_missed_and_told(tmp_path):
    program = "import os, sys\nwith open(sys.argv[1] + '/a', 'w+b') as f: os.posix_fallocate(f.fileno(), 0, 100)"
    with pytest.raises(AssertionError, match="the model does not know fallocate"):
        followed(tmp_path, program)
    (tmp_path / "other").mkdir()
    files = Files(disks(tmp_path / "other"))
    (tmp_path / "other/data/unseen").write_bytes(b"x")
    assert files.differences() == [f"{tmp_path}/other/data/unseen: not in the record"]
