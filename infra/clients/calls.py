"""Calls of the API as a client without a library makes them: through the front, with a ticket where one is needed."""

import base64
import http.client
import json
import os
import ssl

from common import FRONT, PATIENCE, USER, check, until

API = "/api/v1/builds"
TLS = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
TICKET = {"Authorization": "Negotiate " + base64.b64encode(f"ticket of {USER}".encode()).decode()}


def call(method, path, body=None, headers=None):
    """One call: status and document."""
    connection = http.client.HTTPSConnection(FRONT, timeout=PATIENCE, context=TLS)
    sent = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(method, path, body and json.dumps(body), sent | (headers or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def posted(kind, body):
    status, document = call("POST", f"{API}/{kind}", body, TICKET)
    check(f"replay: {kind} is taken", status == 201, (status, document))
    return document


def of_number(number):
    status, document = call("GET", f"{API}/{number}")
    if status != 200:
        raise SystemExit(f"clients: {status} for request {number}: {document}")
    return document


def ended(number):
    """The document of a request once it has ended."""
    return until(f"{number} has ended", lambda: of_number(number), lambda seen: seen["state"] != "in_progress")
