#!/usr/bin/env python3
"""End-to-end tests of a stack that runs on this machine (`infra/local/stack test`).

Each test speaks to the stack as its users and AWS do: the REST API, the bucket, the queues, the
functions, the registry. Nothing of the service's own code is used. Arguments: the folder of the
stack and, optionally, parts of names of the tests to run. The last line is `N passed, N failed`.
"""

import base64
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import yaml
from botocore.config import Config

ROOT = Path(__file__).parents[2]
# Far more than anything here takes on a slow machine.
PATIENCE = 180


class Stack:
    """The stack under test: its API, its AWS and its registry."""

    def __init__(self, folder: Path):
        self.folder = folder
        lines = (folder / "stack.env").read_text().splitlines()
        known = dict(line.replace("'", "").split("=", 1) for line in lines)
        self.endpoint, self.registry, self.api = known["endpoint"], known["registry"], known["api"]
        self.outputs = json.loads((folder / "outputs.json").read_text())
        settings = Config(s3={"addressing_style": "path"}, read_timeout=PATIENCE)
        session = boto3.Session("test", "test", region_name="us-east-1")
        client = lambda name: session.client(name, endpoint_url=self.endpoint, config=settings)
        self.s3, self.sqs, self.functions = client("s3"), client("sqs"), client("lambda")
        self.dynamodb, self.logs = client("dynamodb"), client("logs")
        self.bucket, self.table = self.outputs["BucketName"], self.outputs["TableName"]

    def call(self, method: str, path: str, body=None, headers=None):
        """One call of the API: status, headers and body, which is JSON or else text."""
        data = None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        sent = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(f"{self.api}{path}", data, sent | (headers or {}), method=method)
        try:
            with OPENER.open(request, timeout=60) as answer:
                status, known, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            status, known, content = answer.code, answer.headers, answer.read()
        text = content.decode()
        return status, known, json.loads(text) if "json" in known.get("Content-Type", "") else text

    def example(self, name: str) -> str:
        return f"{self.registry}/examples/{name}"

    def add(self, *bundles: str, **more) -> int:
        """Sends an add request and gives its number."""
        body = {"bundles": list(bundles), "binary_image": self.example("binary:v1")} | more
        if "from_index" not in body:
            body.setdefault("add_arches", ["amd64"])
        status, _, document = self.call("POST", "/api/v1/builds/add", body)
        assert status == 201, (status, document)
        return document["id"]

    def ended(self, number: int) -> dict:
        """Waits until a request has ended and gives its document."""
        return until(f"request {number} ended", lambda: self.document(number), lambda d: d["state"] != "in_progress")

    def document(self, number: int) -> dict:
        status, _, document = self.call("GET", f"/api/v1/builds/{number}")
        assert status == 200, (status, document)
        return document

    def complete(self, number: int) -> dict:
        document = self.ended(number)
        assert document["state"] == "complete", document["state_reason"]
        return document

    def invoke(self, name: str, event):
        answer = self.functions.invoke(FunctionName=f"iib-{name}", Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read() or b"null")
        assert "FunctionError" not in answer, (name, payload)
        return payload

    def database(self, pull_spec: str) -> str:
        """Bundles in the database of an index image, read with other people's programs."""
        with tempfile.TemporaryDirectory() as folder:
            run("skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{pull_spec}", f"dir:{folder}/image")
            manifest = json.loads(Path(folder, "image/manifest.json").read_text())
            layer = manifest["layers"][-1]["digest"].removeprefix("sha256:")
            run("tar", "-xzf", f"{folder}/image/{layer}", "-C", folder)
            return run("sqlite3", f"{folder}/database/index.db", "SELECT name FROM operatorbundle ORDER BY name")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def until(what: str, look, holds):
    """Looks until something holds, and gives what was seen."""
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}; last seen: {seen}"
        time.sleep(0.1)


def event(name: str):
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


# The API and the stages


def test_an_index_is_built_and_other_programs_read_it(stack: Stack):
    first = stack.complete(stack.add(stack.example("lantern:v0.1.0"), add_arches=["amd64", "arm64"]))
    assert first["arches"] == ["amd64", "arm64"]
    newer = stack.complete(stack.add(stack.example("lantern:v0.2.0"), from_index=first["index_image_resolved"]))
    assert stack.database(newer["index_image"]).split() == ["lantern.v0.1.0", "lantern.v0.2.0"]
    raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{newer['index_image_resolved']}")
    assert {m["platform"]["architecture"] for m in json.loads(raw)["manifests"]} == {"amd64", "arm64"}
    status, _, log = stack.call("GET", f"/api/v1/builds/{newer['id']}/logs")
    assert status == 200 and "+ bundle lantern/lantern.v0.2.0" in log, (status, log)
    assert stack.call("GET", newer["logs"]["url"].removeprefix(stack.api))[0] == 200


def test_the_same_input_gives_the_same_index(stack: Stack):
    numbers = [stack.add(stack.example("kettle:v1.0.0")) for _ in range(3)]
    digests = {stack.complete(number)["index_image_resolved"].split("@")[1] for number in numbers}
    assert len(digests) == 1, digests


def test_a_request_that_cannot_be_fulfilled_fails_with_a_reason(stack: Stack):
    missing = stack.example("lantern:v9.9.9")
    document = stack.ended(stack.add(missing))
    assert document["state"] == "failed" and missing in document["state_reason"], document["state_reason"]
    status, _, log = stack.call("GET", f"/api/v1/builds/{document['id']}/logs")
    assert status == 200 and missing in log


def test_bad_calls_are_refused_and_make_no_request(stack: Stack):
    before = stack.call("GET", "/api/v1/builds")[2]["meta"]["total"]
    for method, path, body, status in [
        ("GET", "/api/v1/builds/999999", None, 404),
        ("GET", "/api/v1/nothing", None, 404),
        ("GET", "/api/v1/builds/x", None, 404),
        ("POST", "/api/v1/builds/add", b"{", 400),
        ("POST", "/api/v1/builds/add", ["no object"], 400),
        ("POST", "/api/v1/builds/add", {"bundles": "no list"}, 400),
        ("POST", "/api/v1/builds/add", {"bundels": []}, 400),
        ("POST", "/api/v1/builds/add", {"bundles": [f"r.example/b:{n}" for n in range(501)], "add_arches": ["amd64"]}, 400),
        ("POST", "/api/v1/builds", {}, 405),
        ("GET", "/api/v1/builds?page=0", None, 400),
    ]:
        got, _, answer = stack.call(method, path, body)
        assert got == status and answer.get("error"), (method, path, got, answer)
    got = stack.call("POST", "/api/v1/builds/add", b"x", {"Content-Type": "text/plain"})[0]
    assert got == 415, got
    assert stack.call("GET", "/api/v1/builds")[2]["meta"]["total"] == before
    assert stack.call("GET", "/api/v1/healthcheck")[2] == {"status": "Health check OK"}


def test_fifty_requests_at_once_get_dense_numbers_and_all_end(stack: Stack):
    before = stack.call("GET", "/api/v1/builds")[2]["meta"]["total"]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        added = [pool.submit(stack.add, stack.example(f"lantern:nothing-{n}")) for n in range(50)]
        numbers = sorted(one.result() for one in added)
    assert numbers == list(range(before + 1, before + 51)), numbers
    for number in numbers:
        assert stack.ended(number)["state"] == "failed"
    page = stack.call("GET", "/api/v1/builds?page=2&per_page=20")[2]
    assert [item["id"] for item in page["items"]] == list(range(before + 30, before + 10, -1))


# Functions, one by one, with the documents of events/


def test_every_function_answers_its_documents(stack: Stack):
    for name, document in DOCUMENTS:
        answer = stack.invoke(name, event(document))
        if document.startswith("sqs-"):
            assert answer == {"batchItemFailures": []}, (document, answer)
        if document.startswith("api-"):
            assert answer["statusCode"] in (200, 201), (document, answer)


DOCUMENTS = [
    ("intake", "api-add"),
    ("intake", "api-get"),
    ("intake", "api-list"),
    ("pin", "sqs-pin"),
    ("mutate", "sqs-mutate"),
    ("push", "sqs-push"),
]


def main() -> int:
    stack = Stack(Path(sys.argv[1]))
    wanted = sys.argv[2:]
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    if wanted:
        tests = [(name, test) for name, test in tests if any(part in name for part in wanted)]
    failed = 0
    for name, test in tests:
        started = time.monotonic()
        try:
            test(stack)
            outcome = "ok"
        except Exception:  # whatever it is, the next test is run
            failed += 1
            outcome = "FAILED"
            traceback.print_exc()
        words = name.removeprefix("test_").replace("_", " ")
        print(f"{outcome:6} {words} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
