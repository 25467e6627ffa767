"""Stands in for the package of this name, which wants a compiler, headers and a KDC. It has what iiblib calls.

Its tickets are those that `front.py` takes; whose they are, CLIENTS_USER says. Real tickets are
`infra/kerberos/test`'s.
"""

import base64
import os


class KrbError(Exception):
    pass


def authGSSClientInit(service):
    if not service.startswith("HTTP@"):
        raise KrbError(f"no key of {service}")
    return 1, {}


def authGSSClientStep(context, _):
    context["ticket"] = base64.b64encode(f"ticket of {os.environ['CLIENTS_USER']}".encode()).decode()
    return 0


def authGSSClientResponse(context):
    return context["ticket"]
