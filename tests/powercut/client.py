"""Clients that keep their connection: for thousands of requests, a handshake for each would be most of the work."""

import http.client
import time

from harness.admin import Admin
from harness.raw import TIMEOUT_SECONDS, RawClient, receive

# The admin port closes a connection that is idle for 5 seconds, which must not look like a server that was killed.
IDLE_SECONDS = 2


class Lasting(RawClient):
    """A client of one port, over TLS or not."""

    def __init__(self, port, ca, access_key, secret_key, tls):
        super().__init__(port, ca, access_key, secret_key)
        self.tls, self._connection, self._idle_since = tls, None, 0

    def send(self, method, target, headers, body=b"", *, tls=None, timeout=TIMEOUT_SECONDS):
        connection = self._lasting() or self.connect(self.tls, timeout)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            if body:
                connection.send(body)
            reply = receive(connection)
        except http.client.HTTPException as error:
            connection.close()
            raise ConnectionError("the answer makes no sense: the server was killed") from error
        except BaseException:
            connection.close()
            raise
        if reply.complete and reply.headers.get("connection") != "close":
            self._connection, self._idle_since = connection, time.monotonic()
        else:
            connection.close()
        if not reply.complete:
            raise ConnectionError("the answer was cut")
        return reply

    def _lasting(self):
        """The connection that was kept, if the server has not closed it meanwhile."""
        connection, self._connection = self._connection, None
        if connection is not None and time.monotonic() - self._idle_since > IDLE_SECONDS:
            connection.close()
            return None
        return connection


def s3(server):
    return Lasting(server.port, server.ca, server.access_key, server.secret_key, tls=False)


def admin(server):
    made = Admin(server)
    made.raw = Lasting(server.admin_port, server.ca, server.access_key, server.secret_key, tls=True)
    return made
