"""A server whose data and keys lie on two disks."""

from harness.server import Server

CONFIG = """
encrypt_by_default = false
allow_insecure_sse_c_on_loopback = true
sweep_interval_seconds = 1
dead_blob_grace_seconds = 1
orphan_age_seconds = 0
audit_retention_mib = 1  # files of the audit log are ended, and compressed, at an eighth of it
"""


class Store(Server):
    """The server over `home`; of two disks one has DATA_DIR, the other the secrets with the keys."""

    def __init__(self, home, prefix=(), like=None):
        super().__init__(home, CONFIG, prefix=prefix)
        self.data_disk, self.key_disk = self.home / "data-disk", self.home / "key-disk"
        self.data, self.secrets = self.data_disk / "store", self.key_disk / "secrets"
        self.ca = self.secrets / "tls" / "ca.pem"
        self.flags = ["--secrets-dir", str(self.secrets)]
        if like is not None:
            self.access_key, self.secret_key, self.extra_env = like.access_key, like.secret_key, like.extra_env

    @property
    def disks(self):
        return [self.data_disk, self.key_disk]

    def discard(self):
        """Ends it; what it has written is another server's, which is searched for secrets."""
        self.unchecked.discard(self)
        self.kill()
        self._remove_files()
