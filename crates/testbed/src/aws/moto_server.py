"""Runs Moto's server."""

import sys

from ending import end_with_parent

end_with_parent()

from moto.server import main  # noqa: E402

main(["-H", "127.0.0.1", "-p", sys.argv[1]])
