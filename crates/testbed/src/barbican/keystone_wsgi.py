import sys

# Keystone takes the server's arguments for its own.
sys.argv = ["keystone"]

from keystone.wsgi.api import application  # noqa: E402, F401
