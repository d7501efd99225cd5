"""Disks that can be filled, and disks that fail.

A `SmallDisks` is a mount namespace with a tmpfs at each of some directories. It lives as long as its keeper process, so servers in it can be
killed and started again. A `Fault` is a library that is loaded into a server and makes its writes below a directory fail.
"""

import subprocess
import textwrap
from pathlib import Path

MOUNT = "mount -t tmpfs -o {options},mode=0700 none {path}"
# To the last byte: with whole pages first, then with less. The file system's answer ends it.
FILL = textwrap.dedent(
    """
    import errno, os, sys
    path, keep = sys.argv[1], int(sys.argv[2])
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for size in (1 << 20, 4096, 1):
        while True:
            found = os.statvfs(path)
            if keep and found.f_bavail * found.f_frsize < keep + size:
                break
            try:
                os.write(file, b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
                break
    """
)
FILL_FILES = textwrap.dedent(
    """
    import errno, os, sys
    os.makedirs(sys.argv[1], exist_ok=True)
    for number in range(10**6):
        try:
            os.close(os.open(f"{sys.argv[1]}/{os.getpid()}-{number}", os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            break
    """
)
# Takes every byte that anybody gives back, at once.
GRAB = textwrap.dedent(
    """
    import os, sys, time
    file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    print("ready", flush=True)
    while True:
        try:
            os.write(file, b"x" * 4096)
        except OSError:
            time.sleep(0.0005)
    """
)


class SmallDisks:
    def __init__(self, disks):
        """Directories, which must be there, and the options of the tmpfs at each."""
        mounts = " && ".join(MOUNT.format(options=options, path=path) for path, options in disks.items())
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{mounts} && echo ready && exec cat"]
        self.keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.others = []
        assert self.keeper.stdout.readline() == "ready\n"
        self.prefix = ["nsenter", f"--target={self.keeper.pid}", "--user", "--mount", "--preserve-credentials", "--"]

    def run(self, *command):
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fill(self, path, keep=0):
        """Another process takes all bytes, or all but so many."""
        self.run("python3", "-c", FILL, str(path), str(keep))

    def fill_files(self, path):
        """Another process takes all files."""
        self.run("python3", "-c", FILL_FILES, str(path))

    def grab(self, path):
        """Another process takes all bytes, and every byte that becomes free."""
        grabber = subprocess.Popen([*self.prefix, "python3", "-c", GRAB, str(path)], stdout=subprocess.PIPE, text=True)
        assert grabber.stdout.readline() == "ready\n"
        self.others.append(grabber)
        return grabber

    def remove(self, path):
        self.run("rm", "-rf", str(path))

    def free_bytes(self, path):
        return int(self.run("stat", "-f", "-c", "%a", str(path))) * int(self.run("stat", "-f", "-c", "%S", str(path)))

    def close(self):
        for other in [*self.others, self.keeper]:
            other.kill()
            other.wait()


class Fault:
    def __init__(self, directory, under):
        self.file = Path(directory) / "fault"
        library = Path(directory) / "fault.so"
        source = Path(__file__).with_name("fault.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
        self.env = {"LD_PRELOAD": str(library), "FAULT_FILE": str(self.file), "FAULT_UNDER": str(under)}

    def begin(self, number):
        whole = self.file.with_suffix(".new")
        whole.write_text(str(number))
        whole.rename(self.file)

    def end(self):
        self.file.unlink()
