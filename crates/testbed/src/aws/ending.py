"""Ends a test server together with the test process that started it, also when that is killed."""

import os
import threading
import time


def end_with_parent():
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
