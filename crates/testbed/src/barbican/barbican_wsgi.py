import os
import uuid

from paste import deploy

barbican = deploy.loadapp(f"config:{os.environ['HOME']}/.barbican/barbican-api-paste.ini")


def application(environ, start_response):
    # Barbican 23: the filter for requests without Keystone reads a request id that nothing sets.
    environ.setdefault("webob.adhoc_attrs", {}).setdefault("request_id", f"req-{uuid.uuid4()}")
    return barbican(environ, start_response)
