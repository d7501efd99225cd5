"""Writers that upload by forms alone, and remember what was acknowledged."""

from harness.forms import exactly, post, signed
from harness.workload import State

PIECE_BYTES = 64 << 10


class FormState(State):
    """What a writer of forms knows of its keys."""

    def step(self, client, bucket):
        kind = self.random.choices([self.post_small, self.post_large, self.delete], [30, 50, 20])[0]
        kind(client, bucket, self.random.choice(self.keys))
        self.acknowledged += 1

    def post_small(self, client, bucket, key):
        """The file goes with the fields, and into the catalog's row."""
        self.post(client, bucket, key, self.content(self.random.randrange(2000)))

    def post_large(self, client, bucket, key):
        """The file comes in pieces, and goes into a blob."""
        self.post(client, bucket, key, self.content(self.random.randrange(200_000, 3_000_000)))

    def post(self, client, bucket, key, content):
        fields = {"key": key} | content.mode.write
        form = signed(client.credentials, exactly(bucket, fields), fields)
        self.write(key, content, lambda: post(client, bucket, form, content.body(), pieces=PIECE_BYTES))
