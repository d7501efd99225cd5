"""The server's configuration: it ends with the process that started it, and takes its directory along."""

import os
import shutil
import signal
import threading
import time

# One request at a time: SQLite refuses a transaction that finds another one writing. The class is the one that keeps connections.
workers = 1
worker_class = "gthread"
threads = 1
# Tests may stop the server for longer than its own watchdog likes.
timeout = 0
# Longer than any pause between two requests of a test: a connection that closes while it is used again is a failure of its own.
keepalive = 120
graceful_timeout = 1

parent = os.getppid()


def orphaned():
    return os.getppid() != parent


def when_ready(server):
    def watch():
        while not orphaned():
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def on_exit(server):
    if orphaned():
        shutil.rmtree(os.environ["HOME"], ignore_errors=True)
