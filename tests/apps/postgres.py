"""Real PostgreSQL clusters, archived and backed up by the application under test."""

import os
import pwd
from pathlib import Path

from harness.cli import run
from harness.server import free_ports

MISSING = "PostgreSQL is missing; install it with: tests/install-apps.sh"
CONTENT = "SELECT md5(string_agg(t::text, '|' ORDER BY aid)) FROM pgbench_accounts t"


class Cluster:
    """One cluster below `folder`; `env` is what its archive and restore commands find."""

    def __init__(self, folder, env):
        self.folder, self.data, self.env = folder, folder / "data", env | {"TZ": "UTC"}
        [self.port] = free_ports(1)
        folder.mkdir(mode=0o700)

    def run(self, command):
        return run(f"{as_postgres()} {command}", self.env, cwd=self.folder).stdout

    def init(self, **settings):
        self.run(f"{program('initdb')} --auth trust --username postgres --no-sync --data-checksums --pgdata {self.data}")
        return self.configure(**settings)

    def configure(self, **settings):
        """Appends to the configuration; the last setting of a name counts."""
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder, "fsync": "off", "shared_buffers": "32MB"} | settings
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())
        return self

    def start(self):
        self.run(f"{program('pg_ctl')} start --wait --timeout 120 --pgdata {self.data} --log {self.folder}/log")
        return self

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self.run(f"{program('pg_ctl')} stop --wait --mode fast --pgdata {self.data}")

    def sql(self, text):
        return self.run(f'psql --no-psqlrc -qAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p {self.port} -U postgres -c "{text}"').strip()

    def fill(self):
        self.run(f"{program('pgbench')} -i -q -s 2 -h 127.0.0.1 -p {self.port} -U postgres postgres")

    def work(self):
        """Some transactions, and what the accounts are then."""
        self.run(f"{program('pgbench')} -n -c 2 -t 200 -h 127.0.0.1 -p {self.port} -U postgres postgres")
        return self.sql(CONTENT)

    def log(self):
        return (self.folder / "log").read_text()


def program(name):
    """A program of the newest PostgreSQL there is: Debian has them on no path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    assert found, MISSING
    return found[-1]


def as_postgres():
    """PostgreSQL does not run as root, so root becomes another user in a namespace of its own: the files stay root's."""
    if os.geteuid() != 0:
        return ""
    user = pwd.getpwnam("postgres")
    return f"unshare --user --map-user={user.pw_uid} --map-group={user.pw_gid}"
