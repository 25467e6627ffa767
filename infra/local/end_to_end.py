#!/usr/bin/env python3
"""End-to-end tests of a stack that runs on this machine (`infra/local/stack test`).

Each test speaks to the stack as its users and AWS do: the REST API, the bucket, the queues, the
functions, the registry. Nothing of the service's own code is used. Arguments: the folder of the
stack and, optionally, parts of names of the tests to run. The last line is `N passed, N failed`.
"""

import base64
import concurrent.futures
import contextlib
import datetime
import hashlib
import http.server
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import boto3
import yaml
from botocore.config import Config

from check import kinds_granted
from templates import TEMPLATE, as_json, read_template

ROOT = Path(__file__).parents[2]
# Far more than anything here takes on a slow machine.
PATIENCE = 180


class Stack:
    """The stack under test: its API, its AWS and its registry."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, "iib"
        lines = (folder / "stack.env").read_text().splitlines()
        known = dict(line.replace("'", "").split("=", 1) for line in lines)
        self.endpoint, self.registry, self.api = known["endpoint"], known["registry"], known["api"]
        self.outputs = json.loads((folder / "outputs.json").read_text())
        settings = Config(s3={"addressing_style": "path"}, read_timeout=PATIENCE)
        session = boto3.Session("test", "test", region_name="us-east-1")
        client = lambda name: session.client(name, endpoint_url=self.endpoint, config=settings)
        self.s3, self.sqs, self.functions = client("s3"), client("sqs"), client("lambda")
        self.dynamodb, self.logs, self.events = client("dynamodb"), client("logs"), client("events")
        self.cloudwatch, self.sns = client("cloudwatch"), client("sns")
        self.acm, self.gateway = client("acm"), client("apigatewayv2")
        self.bucket, self.table = self.outputs["BucketName"], self.outputs["TableName"]

    def beside(self, name: str, **parameters: str) -> "Stack":
        """The API of another stack of the same template on the same emulator and registry."""
        return self.deployed(name, "--quiet", **parameters)

    def single(self, name: str, template: Path, **parameters: str) -> "Stack":
        """Another stack, of any template."""
        return self.deployed(name, "--template", str(template), **parameters)

    def deployed(self, name: str, *options: str, **parameters: str) -> "Stack":
        deploy = [sys.executable, str(ROOT / "infra/local/deploy.py"), "--packages", str(self.folder / "packages"), *options]
        return self.another(name, run(*deploy, *self.given(name, parameters)))

    def rolled_back(self, name: str, version: str, versions: dict[str, str]) -> "Stack":
        """Another stack, of a version that was kept; nothing calls its functions."""
        command = [str(ROOT / "infra/rollback"), version, "--quiet", *self.given(name, {})]
        return self.another(name, run(*command, env=os.environ | versions))

    def given(self, name: str, parameters: dict[str, str]) -> list[str]:
        # Calls of these tests are not signed; the emulator looks at no signatures.
        # It has no CodeDeploy either.
        own = {"Registry": self.registry, "InsecureRegistries": self.registry, "ApiAccess": "open", "Canary": "false"}
        given = own | parameters
        given = [part for item in given.items() for part in ("--parameter", "=".join(item))]
        return ["--endpoint", self.endpoint, "--stack", name, *given]

    def another(self, name: str, outputs: str) -> "Stack":
        other = Stack(self.folder)
        other.name, other.outputs = name, json.loads(outputs)
        other.bucket, other.table = other.outputs["BucketName"], other.outputs["TableName"]
        other.api = f"{self.endpoint}/_aws/execute-api/{other.outputs['ApiId']}/$default"
        return other

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
        return status, known, json.loads(text) if text and "json" in known.get("Content-Type", "") else text

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

    def environment(self, name: str) -> dict[str, str]:
        """What the deployed function has in its environment, to start its binary as a process."""
        settings = self.functions.get_function_configuration(FunctionName=f"{self.name}-{name}")
        return settings["Environment"]["Variables"] | {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "RUST_LOG": "warn",
        }

    def code(self, name: str, version: str = "$LATEST") -> str:
        """The digest of the function's code."""
        return self.functions.get_function_configuration(FunctionName=f"{self.name}-{name}", Qualifier=version)["CodeSha256"]

    def items(self) -> list[dict]:
        """Everything in the table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def object(self, key: str) -> bytes | None:
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def result(self, key: str) -> dict:
        """Waits for what became of a file."""
        return json.loads(until(f"there is {key}", lambda: self.object(key), lambda found: found is not None))

    def send(self, queue: str, body: str):
        self.sqs.send_message(QueueUrl=self.outputs[queue], MessageBody=body)

    def purge(self, queue: str):
        self.sqs.purge_queue(QueueUrl=self.outputs[queue])

    def waiting(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)["Attributes"]
        return sum(int(count) for count in counts.values())

    def log_of(self, name: str) -> str:
        group = f"/aws/lambda/{self.name}-{name}"
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return "\n".join(event["message"].rstrip() for page in pages for event in page["events"])

    def tags(self) -> list[str]:
        return json.loads(run("skopeo", "list-tags", "--tls-verify=false", f"docker://{self.registry}/iib-build"))["Tags"]

    def age(self, number: int, seconds: int):
        """Lets a request be as old as if so much time had passed."""
        key = {"pk": {"S": f"REQUEST#{number}"}, "sk": {"S": "RECORD"}}
        item = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True)["Item"]
        record = json.loads(item["record"]["S"])
        for entry in record["history"]:
            entry["updated"] = before(entry["updated"], seconds)
        work = record["work"]
        for name, holder in (("until", work["lease"]), ("at", work.get("nudged")), ("due", work)):
            if holder and holder.get(name):
                holder[name] = before(holder[name], seconds)
        known, item["record"]["S"] = item["record"]["S"], json.dumps(record)
        if item["phase"]["S"] == "kept":
            item["rank"]["N"] = str(int(item["rank"]["N"]) - seconds * 1_000_000)
        try:
            self.dynamodb.put_item(
                TableName=self.table, Item=item, ConditionExpression="#record = :known",
                ExpressionAttributeNames={"#record": "record"}, ExpressionAttributeValues={":known": {"S": known}},
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            pass  # somebody works on it, so it is not old

    def kill_stages(self) -> int:
        """`kill -9` of the functions of the stages; tells how many processes there were.

        Those of calls are let be: the emulator hands a call to a dead process, and says so.
        """
        session = (self.folder / "ministack.pid").read_text().strip()
        names = [f"AWS_LAMBDA_FUNCTION_NAME=iib-{stage}".encode() for stage in ("pin", "mutate", "push")]
        killed = 0
        for pid in subprocess.run(["pgrep", "-s", session, "-x", "bootstrap"], capture_output=True, text=True).stdout.split():
            with contextlib.suppress(OSError):  # it ended by itself, or long ago
                if any(name in names for name in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
                    os.kill(int(pid), signal.SIGKILL)
                    killed += 1
        return killed

    def invoke(self, name: str, event):
        answer = self.functions.invoke(FunctionName=f"{self.name}-{name}", Payload=json.dumps(event).encode())
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


class Held:
    """No messages of a stage are worked on meanwhile."""

    def __init__(self, stack: Stack, stage: str):
        self.stack, self.stage = stack, stage

    def __enter__(self):
        self.switch(False)

    def __exit__(self, *_):
        self.switch(True)

    def switch(self, on: bool):
        functions = self.stack.functions
        mappings = functions.list_event_source_mappings(FunctionName=f"{self.stack.name}-{self.stage}")["EventSourceMappings"]
        for mapping in mappings:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)
            state = "Enabled" if on else "Disabled"
            look = lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"]
            until(f"the queue of {self.stage} is {state}", look, lambda seen: seen == state)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)
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


def before(when: str, seconds: int) -> str:
    earlier = datetime.datetime.fromisoformat(when) - datetime.timedelta(seconds=seconds)
    return earlier.isoformat().replace("+00:00", "Z")


def s3_event(stack: Stack, key: str, size: int) -> dict:
    """An event of the bucket, as S3 sends it, about an object of this key and size."""
    document = event("s3-upload")
    facts = document["Records"][0]["s3"]
    facts["bucket"]["name"] = stack.bucket
    facts["object"] |= {"key": urllib.parse.quote_plus(key, safe="/"), "size": size}
    return document


def bundle_archive() -> bytes:
    """The files of an example bundle, as an archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(ROOT / "examples" / "bundles" / EXAMPLE, arcname=".")
    return content.getvalue()


EXAMPLE = "lantern/0.1.0"


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
    # The emulator leaves its port out of the URL.
    assert stack.call("GET", urllib.parse.urlparse(newer["logs"]["url"]).path)[0] == 200
    status, _, diff = stack.call("GET", f"/api/v1/builds/{newer['id']}/diff?format=text")
    assert status == 200 and "+ bundle lantern/lantern.v0.2.0" in diff, (status, diff)
    status, headers, svg = stack.call("GET", f"/api/v1/builds/{newer['id']}/graph")
    assert status == 200 and svg.startswith("<svg ") and "lantern.v0.1.0" in svg, (status, headers, svg)


def test_what_happens_is_told_on_the_bus_in_order(stack: Stack):
    bus, name = stack.outputs["EventBusName"], "told"
    queue = stack.sqs.create_queue(QueueName=name)["QueueUrl"]
    stack.events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"source": ["iib"]}))
    target = {"Id": name, "Arn": f"arn:aws:sqs:us-east-1:000000000000:{name}"}
    stack.events.put_targets(Rule=name, EventBusName=bus, Targets=[target])
    number = stack.add(stack.example("kettle:v1.0.0"))
    document = stack.complete(number)
    told = []

    def hear() -> list[dict]:
        answer = stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            told.append(json.loads(message["Body"]))
            stack.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return told

    def is_over(heard: list[dict]) -> bool:
        return any(
            event["detail-type"] == "Batch state change" and event["detail"]["state"] == "complete"
            and event["detail"]["batch"] == document["batch"] for event in heard
        )

    until("the end of the batch is told", hear, is_over)
    mine = [event["detail"] for event in told if event["detail"].get("id") == number]
    versions = [int(detail["event_id"].split("-")[1]) for detail in mine]
    assert len(set(versions)) == len(document["state_history"]), (versions, document["state_history"])
    assert [detail["state_reason"] for detail in sorted(mine, key=lambda d: int(d["event_id"].split("-")[1]))] == [
        entry["state_reason"] for entry in reversed(document["state_history"])
    ]
    # What was told is gone.
    until("nothing waits", lambda: [item for item in stack.items() if item["pk"]["S"].startswith("OUTBOX#")], lambda left: not left)
    stack.events.remove_targets(Rule=name, EventBusName=bus, Ids=[name])
    stack.events.delete_rule(Name=name, EventBusName=bus)
    stack.sqs.delete_queue(QueueUrl=queue)


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


def test_bundles_that_do_not_fit_leave_nothing_behind(stack: Stack):
    number = stack.add(stack.example("kettle:v1.1.0"))
    document = stack.ended(number)
    assert document["state"] == "failed" and "kettle.v1.0.0" in document["state_reason"], document["state_reason"]
    assert str(number) not in stack.tags()
    left = lambda: stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix=f"work/{number}/").get("Contents")
    until("nothing is left of the work", left, lambda left: not left)


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
    ]:
        got, _, answer = stack.call(method, path, body)
        assert got == status and answer.get("error"), (method, path, got, answer)
    got = stack.call("POST", "/api/v1/builds/add", b"x", {"Content-Type": "text/plain"})[0]
    assert got == 415, got
    assert stack.call("GET", "/api/v1/builds")[2]["meta"]["total"] == before
    assert stack.call("GET", "/api/v1/healthcheck")[2] == {"status": "Health check OK"}
    ready = stack.call("GET", "/readyz")[2]
    assert ready["dependencies"] == dict.fromkeys(["requests", "logs", "documents", "queue"], "ok"), ready


def test_tokens_are_verified_by_intake_in_the_order_of_the_api(stack: Stack):
    with tempfile.TemporaryDirectory() as folder, issuer(Path(folder)) as (address, token):
        guarded = stack.beside(
            "iib-tokens", ApiAccess="jwt", ReadAccess="open", JwtIssuer=address, JwtAudience="people, catalogs", UserClaims="email",
        )
        # Reading is for all, what is not there is not there for anybody, and bodies are looked at last.
        for method, path, expected in [
            ("GET", "builds", 200), ("POST", "builds/nothing", 404), ("PUT", "builds/add", 405), ("POST", "builds/add", 401),
        ]:
            status, headers, document = guarded.call(method, f"/api/v1/{path}", None if method == "GET" else b"{")
            assert status == expected, (method, path, status, document)
            assert status == 200 or list(document) == ["error"], document
        assert headers["WWW-Authenticate"] == "Bearer", dict(headers)
        body = {"bundles": [stack.example("lantern:v0.1.0")], "binary_image": stack.example("binary:v1"), "add_arches": ["amd64"]}
        for claims, expected in [({"aud": "others"}, 401), ({"aud": "catalogs"}, 201)]:
            given = token({"iss": address, "exp": int(time.time()) + 600, "email": "lea@example.com"} | claims)
            login = {"Authorization": f"Bearer {given}"}
            status, headers, document = guarded.call("POST", "/api/v1/builds/add", body, login)
            assert status == expected, (status, document)
            if status == 401:
                assert "it is for another audience" in headers["WWW-Authenticate"], dict(headers)
        assert document["user"] == "lea@example.com", document
        # The same stack, closed: reading needs what sending does.
        closed = stack.beside(
            "iib-tokens", ApiAccess="jwt", JwtIssuer=address, JwtAudience="people, catalogs", UserClaims="email",
        )
        for path in ["/api/v1/builds", f"/api/v1/builds/{document['id']}", "/"]:
            assert closed.call("GET", path)[0] == 401, path
            assert closed.call("GET", path, headers=login)[0] == 200, path
        assert closed.call("GET", "/api/v1/healthcheck")[0] == 200


@contextlib.contextmanager
def issuer(folder: Path):
    """An OpenID issuer on loopback: its address, and what signs claims."""
    key = folder / "key.pem"
    run("openssl", "genrsa", "-out", str(key), "2048")
    modulus = run("openssl", "rsa", "-in", str(key), "-noout", "-modulus").strip().partition("=")[2]
    encoded = lambda content: base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    public = {"kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256", "n": encoded(bytes.fromhex(modulus)), "e": "AQAB"}

    class Issuer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path == "/keys"
            told = {"keys": [public]} if known else {"issuer": address, "jwks_uri": f"{address}/keys"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, *_):
            pass

    def token(claims: dict) -> str:
        parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k"}, claims)]
        text = ".".join(parts)
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(key)], input=text.encode(), capture_output=True, check=True
        )
        return f"{text}.{encoded(signed.stdout)}"

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield address, token
    finally:
        server.shutdown()


def test_a_domain_of_ones_own_is_the_only_address(stack: Stack):
    name = "iib.example.test"
    certificate = stack.acm.request_certificate(DomainName=name)["CertificateArn"]
    other = stack.beside("domain", DomainName=name, DomainCertificateArn=certificate)
    assert other.outputs["ApiUrl"] == f"https://{name}", other.outputs["ApiUrl"]
    assert stack.gateway.get_api(ApiId=other.outputs["ApiId"])["DisableExecuteApiEndpoint"] is True
    mappings = stack.gateway.get_api_mappings(DomainName=name)["Items"]
    assert [mapping["ApiId"] for mapping in mappings] == [other.outputs["ApiId"]], mappings
    variables = stack.functions.get_function_configuration(FunctionName="domain-intake")["Environment"]["Variables"]
    assert variables["IIB_PUBLIC_URL"] == f"https://{name}", variables["IIB_PUBLIC_URL"]


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


def test_a_token_is_nowhere_but_encrypted_and_goes_with_its_request(stack: Stack):
    token = "somebody:a-token-that-nobody-may-see"
    with Held(stack, "pin"):
        number = stack.add(
            stack.example("lantern:v0.1.0"), from_index=stack.example("nothing:v1"),
            overwrite_from_index=True, overwrite_from_index_token=token,
        )
        items = stack.items()
        assert [item for item in items if item["pk"]["S"].startswith("SECRET#")], "no secret is kept"
        assert token not in json.dumps(items, default=repr), "the token is in the table"
    stack.ended(number)
    kept = lambda: [item for item in stack.items() if item["pk"]["S"].startswith("SECRET#")]
    until("the secret is forgotten", kept, lambda kept: not kept)
    assert token not in json.dumps(stack.document(number))
    assert token not in stack.call("GET", f"/api/v1/builds/{number}/logs")[2]


def test_an_index_is_overwritten_with_the_login_of_the_request(stack: Stack):
    before = stack.complete(stack.add(stack.example("lantern:v0.1.0")))
    index = before["index_image"]
    number = stack.add(
        stack.example("lantern:v0.2.0"), from_index=index,
        overwrite_from_index=True, overwrite_from_index_token="somebody:a-token",
    )
    after = stack.complete(number)
    assert after["index_image"] == index, after
    assert after["from_index_resolved"] == before["index_image_resolved"], after
    # Whoever reads the tag now reads the result.
    next_one = stack.complete(stack.add(stack.example("lantern:v0.3.0"), from_index=index))
    assert next_one["from_index_resolved"] == after["index_image_resolved"], (after, next_one)
    # And what it named before once it is rolled back.
    status, _, undoing = stack.call("POST", f"/api/v1/builds/{number}/rollback", {"overwrite_from_index_token": "somebody:a-token"})
    assert status == 201, undoing
    undone = stack.complete(undoing["id"])
    assert undone["index_image_resolved"] == before["index_image_resolved"], undone


def test_a_large_log_is_downloaded_from_the_bucket(stack: Stack):
    number = stack.add(stack.example("lantern:missing"))
    stack.ended(number)
    log = "a line of a long log\n" * 300_000
    key = f"kept/{number}/build.log"
    until("the log is sealed", lambda: stack.object(key), lambda found: found is not None)
    stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=log.encode())
    status, headers, _ = stack.call("GET", f"/api/v1/builds/{number}/logs")
    assert status == 302, status
    with urllib.request.urlopen(headers["Location"], timeout=60) as answer:
        assert answer.read().decode() == log


# Files instead of calls


def test_a_request_document_becomes_one_request(stack: Stack):
    name = f"team a/lantern-{time.time_ns()}.json"
    document = {"bundles": [stack.example("lantern:v0.1.0")], "binary_image": stack.example("binary:v1"), "add_arches": ["amd64"]}
    stack.s3.put_object(Bucket=stack.bucket, Key=f"inbox/{name}", Body=json.dumps(document).encode())
    result = stack.result(f"results/{name}")
    # Whoever the event names.
    assert stack.complete(result["id"])["user"], result
    total = stack.call("GET", "/api/v1/builds")[2]["meta"]["total"]
    # The event again: the document is gone, and its request was made.
    stack.invoke("artifact", s3_event(stack, f"inbox/{name}", 1))
    assert stack.call("GET", "/api/v1/builds")[2]["meta"]["total"] == total
    assert stack.object(f"inbox/{name}") is None


def test_a_request_document_overwrites_nothing_and_its_token_is_nowhere(stack: Stack):
    token, name = "somebody:a-token-in-a-document", f"token-{time.time_ns()}.json"
    document = {
        "bundles": [stack.example("lantern:v0.1.0")], "from_index": stack.example("nothing:v1"),
        "binary_image": stack.example("binary:v1"), "overwrite_from_index": True, "overwrite_from_index_token": token,
    }
    stack.s3.put_object(Bucket=stack.bucket, Key=f"inbox/{name}", Body=json.dumps(document).encode())
    result = stack.result(f"results/{name}")
    assert "overwrite_from_index" in result["error"], result
    assert token not in json.dumps(result) + json.dumps(stack.items(), default=repr)


def test_a_bad_request_document_gets_an_error_and_makes_no_request(stack: Stack):
    total = stack.call("GET", "/api/v1/builds")[2]["meta"]["total"]
    for name, body in [("broken", b"{"), ("list", b"[]"), ("unknown", b'{"bundels": []}'), ("kind", b'{"request_type": "rm"}')]:
        stack.s3.put_object(Bucket=stack.bucket, Key=f"inbox/bad/{name}.json", Body=body)
        assert stack.result(f"results/bad/{name}.json")["error"], name
    assert stack.call("GET", "/api/v1/builds")[2]["meta"]["total"] == total


def test_uploads_are_checked_and_registered_on_their_request(stack: Stack):
    number = stack.add(stack.example("lantern:v0.1.0"))
    good = {
        "logs/outside.log": "a build elsewhere\nwent well\n".encode(),
        "fragments/catalog.yaml": b"---\nschema: olm.package\nname: lantern\n---\nschema: olm.channel\npackage: lantern\nname: stable\n",
        "related_bundles/related.json": json.dumps([stack.example("lantern:v0.1.0")]).encode(),
        "bundles/lantern.tar.gz": bundle_archive(),
    }
    for name, content in good.items():
        stack.s3.put_object(Bucket=stack.bucket, Key=f"uploads/{number}/{name}", Body=content)
    listed = until(
        "all uploads are registered", lambda: stack.call("GET", f"/api/v1/builds/{number}/uploads")[2],
        lambda listed: len(listed) >= len(good),
    )
    assert {f"{one['kind']}/{one['name']}" for one in listed} == set(good), listed
    for one in listed:
        status, headers, _ = stack.call("GET", urllib.parse.urlparse(one["url"]).path)
        assert status == 302, (one, status)
        with urllib.request.urlopen(headers["Location"], timeout=60) as answer:
            assert answer.read() == good[f"{one['kind']}/{one['name']}"], one
    for name, content in [("fragments/bad.yaml", b"schema: 1\n---\n[]\n"), ("logs/bad.log", b"\xff\xfe"), ("related_bundles/bad.json", b'["no spec"]'), ("bundles/bad.tar", b"no archive")]:
        stack.s3.put_object(Bucket=stack.bucket, Key=f"uploads/{number}/{name}", Body=content)
        assert stack.result(f"results/uploads/{number}/{name}.json")["error"], name
    stack.complete(number)
    assert len(stack.call("GET", f"/api/v1/builds/{number}/uploads")[2]) == len(good)


def test_a_truncated_upload_is_refused(stack: Stack):
    number = stack.add(stack.example("lantern:v0.1.0"))
    stack.complete(number)
    key = f"uploads/{number}/logs/cut.log"
    # Under a name without events first, so that only the event of this test tells of it.
    mapping = stack.s3.get_bucket_notification_configuration(Bucket=stack.bucket)
    mapping.pop("ResponseMetadata", None)
    stack.s3.put_bucket_notification_configuration(Bucket=stack.bucket, NotificationConfiguration={})
    try:
        stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=b"only a part of")
        stack.invoke("artifact", s3_event(stack, key, 1000))
    finally:
        stack.s3.put_bucket_notification_configuration(Bucket=stack.bucket, NotificationConfiguration=mapping)
    assert "1000" in stack.result(f"results/{key}.json")["error"]
    assert stack.call("GET", f"/api/v1/builds/{number}/uploads")[2] == []


# What goes wrong in between


def test_a_lost_message_is_sent_again(stack: Stack):
    with Held(stack, "pin"):
        number = stack.add(stack.example("kettle:v1.0.0"))
        stack.purge("PinQueueUrl")
        # Nobody touched it for longer than two stages may take.
        stack.age(number, seconds=3600)
        report = stack.invoke("prune", event("schedule"))
        assert report["resent"] >= 1, report
    stack.complete(number)


def test_a_request_whose_message_died_is_failed(stack: Stack):
    with Held(stack, "pin"):
        number = stack.add(stack.example("kettle:v1.0.0"))
        stack.send("DeadLetterQueueUrl", json.dumps({"request_id": number, "stage": "pin"}))
        document = stack.ended(number)
        assert document["state"] == "failed" and "pin" in document["state_reason"], document["state_reason"]
    status, _, log = stack.call("GET", f"/api/v1/builds/{number}/logs")
    assert status == 200 and document["state_reason"] in log, (status, log)


def test_a_registry_that_refuses_raises_an_alarm_and_clears_it(stack: Stack):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"127.0.0.1:{nobody.getsockname()[1]}"
    topic = stack.sns.create_topic(Name="drill")["TopicArn"]
    queue = stack.sqs.create_queue(QueueName="drill-told")["QueueUrl"]
    arn = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stack.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    drill = stack.beside("drill", MaxAttempts="1", AlarmTopicArn=topic, InsecureRegistries=f"{stack.registry},{away}")
    number = drill.add(f"{away}/nothing/here:v1")
    message = event("sqs-pin")
    message["Records"][0]["body"] = json.dumps({"request_id": number, "stage": "pin"})
    stack.functions.invoke(FunctionName="drill-pin", Payload=json.dumps(message).encode())
    document = drill.document(number)
    assert document["state"] == "failed" and "It was tried 1 times" in document["state_reason"], document["state_reason"]

    def told() -> list[tuple[str, str]]:
        """What the topic's subscriber got: entry of the runbook, state."""
        found = []
        for sent in stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            alarm = json.loads(json.loads(sent["Body"])["Message"])
            found.append((re.search(r"RUNBOOK: ([a-z-]+)", alarm["AlarmDescription"])[1], alarm["NewStateValue"]))
        return found

    # On AWS the collector of logs makes metrics of such lines; here it is this test. An alarm looks five minutes back, and these
    # are as old but for some seconds.
    lines = until(
        "the failure was counted", lambda: [line for line in drill.log_of("pin").splitlines() if '"RequestsFailed"' in line], bool,
    )
    counted = json.loads(lines[0][lines[0].index("{"):])
    assert (counted["Stack"], counted["Class"], counted["Kind"]) == ("drill", "retry", "add"), counted
    collect(stack, counted, age=285)
    until("the alarm is told", told, lambda found: ("requests-failed-retry", "ALARM") in found)

    def cleared() -> list[tuple[str, str]]:
        collect(stack, counted | {"RequestsFailed": 0})
        return told()

    until("its end is told", cleared, lambda found: ("requests-failed-retry", "OK") in found)


def collect(stack: Stack, line: dict, age: int = 0):
    """Makes metrics of a line in CloudWatch's embedded metric format."""
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        data = [
            {
                "MetricName": metric["Name"], "Unit": metric["Unit"], "Timestamp": at, "Value": line[metric["Name"]],
                "Dimensions": [{"Name": name, "Value": line[name]} for name in dimensions],
            }
            for metric in directive["Metrics"] for dimensions in directive["Dimensions"]
        ]
        stack.cloudwatch.put_metric_data(Namespace=directive["Namespace"], MetricData=data)


def test_a_message_that_nobody_can_read_stands_in_nobodys_way(stack: Stack):
    url = stack.outputs["PushQueueUrl"]
    visibility = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    # Its twenty deliveries would take hours.
    stack.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    try:
        stack.send("PushQueueUrl", "nonsense")
        number = stack.add(stack.example("kettle:v1.0.0"))
        stack.complete(number)
        until("the message was given up", lambda: stack.log_of("dead-letter"), lambda log: "dead_letter_unreadable" in log)
    finally:
        stack.sqs.set_queue_attributes(QueueUrl=url, Attributes=visibility)
    for queue in ("PushQueueUrl", "DeadLetterQueueUrl", "UndeliverableQueueUrl"):
        until(f"{queue} is empty", lambda: stack.waiting(queue), lambda count: count == 0)


def test_stages_that_are_killed_lose_nothing(stack: Stack):
    lantern, kettle = ["lantern:v0.1.0", "lantern:v0.2.0", "lantern:v0.3.0"], ["kettle:v1.0.0", "kettle:v1.1.0"]
    # Other content each time, so that no run finds its layer in the registry.
    runs = [lantern[:some] + kettle[:others] for some in range(4) for others in range(3) if some + others]
    begun = time.monotonic()
    stack.complete(stack.add(*map(stack.example, runs[-1]), build_tags=["killed"]))
    span, interrupted = time.monotonic() - begun, 0
    for turn, bundles in enumerate(runs):
        number = stack.add(*map(stack.example, bundles), build_tags=["killed"])
        # Moments spread over the time a request takes: it is the moment that is meant.
        time.sleep(span * turn / len(runs))
        killed = stack.kill_stages()
        interrupted += killed > 0 and stack.document(number)["state"] == "in_progress"

        def patience_ends():
            # Leases end, and prune looks. What the dead held is in flight for longer than this test.
            stack.age(number, seconds=3600)
            stack.invoke("prune", event("schedule"))
            return stack.document(number)

        until(f"request {number} ended", patience_ends, lambda document: document["state"] != "in_progress")
        document = stack.complete(number)
        ends = [entry for entry in document["state_history"] if entry["state"] == "complete"]
        assert len(ends) == 1, document
        image = document["index_image_resolved"]
        assert len(stack.database(image).split()) == len(bundles), document
        tagged = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{stack.registry}/iib-build:killed")
        assert image.endswith(hashlib.sha256(tagged.encode()).hexdigest()), document
    assert interrupted >= 3, f"only {interrupted} requests were interrupted"
    for queue in ("PinQueueUrl", "MutateQueueUrl", "PushQueueUrl"):
        stack.purge(queue)


def test_data_expires_and_the_index_stays(stack: Stack):
    number = stack.add(stack.example("kettle:v1.0.0"))
    index = stack.complete(number)["index_image_resolved"]
    stack.s3.put_object(Bucket=stack.bucket, Key=f"uploads/{number}/logs/a.log", Body=b"text")
    uploads = lambda: stack.call("GET", f"/api/v1/builds/{number}/uploads")[2]
    until("the upload is registered", uploads, lambda listed: len(listed) == 1)
    assert f"{number}-amd64" in stack.tags()
    stack.age(number, seconds=4 * 24 * 3600)
    report = stack.invoke("prune", event("schedule"))
    assert report["expired"] >= 1, report
    for path in ("logs", "uploads", "diff", "graph"):
        status, _, answer = stack.call("GET", f"/api/v1/builds/{number}/{path}")
        assert status == 410, (path, status, answer)
    assert f"{number}-amd64" not in stack.tags() and str(number) in stack.tags()
    assert stack.database(index).split() == ["kettle.v1.0.0"]
    assert not stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix=f"kept/{number}/").get("Contents")


def test_a_dry_run_pushes_nothing(stack: Stack):
    body = {"bundles": [stack.example("kettle:v1.0.0")], "binary_image": stack.example("binary:v1"), "add_arches": ["amd64"]}
    status, _, made = stack.call("POST", "/api/v1/builds/add?dry_run=true", body)
    assert status == 201 and made["dry_run"] is True, made
    number = made["id"]
    shown = stack.complete(number)
    assert shown["index_image"] is None and str(number) not in stack.tags(), shown
    status, _, text = stack.call("GET", f"/api/v1/builds/{number}/diff?format=markdown")
    assert status == 200 and "bundle kettle/kettle.v1.0.0" in text, text
    status, _, plan = stack.call("GET", f"/api/v1/builds/{number}/plan")
    assert status == 200 and plan["bundles"][0]["package"] == "kettle", plan
    for query, expected in ((f"batch={made['batch']}", []), (f"batch={made['batch']}&dry_run=true", [number])):
        status, _, page = stack.call("GET", f"/api/v1/builds?{query}")
        assert [item["id"] for item in page["items"]] == expected, (query, page)


def test_a_chain_starts_when_the_first_is_complete(stack: Stack):
    first = stack.add(stack.example("kettle:v1.0.0"))
    follows = {"operators": ["kettle"], "from_index": f"request:{first}", "binary_image": stack.example("binary:v1")}
    status, _, made = stack.call("POST", "/api/v1/builds/rm", follows)
    assert status == 201, made
    result = stack.complete(first)
    status, _, conflict = stack.call("POST", f"/api/v1/builds/{first}/cancel")
    assert status == 409, conflict
    taken_out = stack.complete(made["id"])
    assert taken_out["from_index_resolved"] == result["index_image_resolved"], taken_out


def test_a_call_waits_for_a_change(stack: Stack):
    number = stack.add(stack.example("kettle:v1.0.0"))
    known, looks = 0, 0
    while looks < 50:
        status, headers, shown = stack.call("GET", f"/api/v1/builds/{number}?after={known}&wait=20")
        assert status == 200, shown
        tag = {name.lower(): value for name, value in headers.items()}["etag"]
        version, looks = int(tag.removeprefix('W/"').split('"')[0].split("-")[0]), looks + 1
        if shown["state"] != "in_progress":
            break
        assert version > known, (tag, known)
        known = version
    assert shown["state"] == "complete", shown


# Stores and service


def test_the_stores_of_a_single_stack_get_a_stack_of_their_own(stack: Stack):
    """docs/UPGRADE.md, from the stack of before to a service on the stores that it left."""
    run_of = int(time.time())
    name, stores = f"iib-before-{run_of}", f"iib-stores-{run_of}"
    results = {"ImagePushTemplate": f"{{registry}}/{name}:{{request_id}}"}
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "former.json"
        template.write_text(json.dumps(as_json(former())))
        before = stack.single(name, template, **results)
    number = before.add(stack.example("lantern:v0.1.0"))
    known = before.complete(number)
    log = before.call("GET", f"/api/v1/builds/{number}/logs")
    # One that nobody begins any more.
    Held(before, "pin").switch(False)
    waiting = before.add(stack.example("lantern:v0.2.0"), from_index=known["index_image"])
    records = [item for item in before.items() if item["pk"]["S"].startswith("REQUEST#")]
    adopt = [sys.executable, str(ROOT / "infra/local/adopt.py"), name, stores, "--yes"]
    run(*adopt, env=os.environ | {"AWS_ENDPOINT_URL": stack.endpoint})
    # Again, where all is done.
    run(*adopt, env=os.environ | {"AWS_ENDPOINT_URL": stack.endpoint})
    after = stack.single(name, TEMPLATE, StoresStack=stores, **results)
    assert (after.table, after.bucket) == (before.table, before.bucket), after.outputs
    assert all(item in after.items() for item in records)
    assert after.document(number)["index_image_resolved"] == known["index_image_resolved"]
    assert after.call("GET", f"/api/v1/builds/{number}/logs")[::2] == log[::2]
    assert after.database(known["index_image_resolved"]).split() == ["lantern.v0.1.0"]
    # What was under way goes on, and numbers do.
    after.age(waiting, seconds=3600)
    after.invoke("prune", event("schedule"))
    assert after.database(after.complete(waiting)["index_image"]).split() == ["lantern.v0.1.0", "lantern.v0.2.0"]
    assert after.add(stack.example("kettle:v1.0.0")) == waiting + 1
    document = {"bundles": [stack.example("lantern:v0.1.0")], "binary_image": stack.example("binary:v1"), "add_arches": ["amd64"]}
    after.s3.put_object(Bucket=after.bucket, Key="inbox/after.json", Body=json.dumps(document).encode())
    assert after.result("results/after.json")["id"] == waiting + 2
    assert after.dynamodb.describe_table(TableName=after.table)["Table"]["DeletionProtectionEnabled"]
    assert after.s3.get_bucket_versioning(Bucket=after.bucket)["Status"] == "Enabled"
    # A second service on the same table is refused before there is anything of it.
    try:
        stack.single(f"iib-second-{run_of}", TEMPLATE, StoresStack=stores)
    except AssertionError as refusal:
        assert "OneServiceForThisTable" in str(refusal) and "already exists" in str(refusal), refusal
    else:
        raise AssertionError("a second service works on the table of the first")
    left = [one["FunctionName"] for one in stack.functions.list_functions()["Functions"] if one["FunctionName"].startswith("iib-second")]
    assert not left, left


def test_a_version_of_before_comes_back(stack: Stack):
    name = f"iib-versions-{int(time.time())}"
    with tempfile.TemporaryDirectory() as folder:
        versions = {"IIB_RELEASES": folder}
        run(str(ROOT / "infra/local/keep"), "first", env=os.environ | versions)
        run(str(ROOT / "infra/local/keep"), "second", env=os.environ | versions)
        # The second one has another intake: whatever stands behind a program changes nothing of what it does.
        second = Path(folder, "second")
        with Path(second, "target/lambda/intake/bootstrap").open("ab") as binary:
            binary.write(b"second")
        refused = subprocess.run([ROOT / "infra/rollback", "second"], env=os.environ | versions, capture_output=True, text=True)
        assert refused.returncode == 1 and "is not what was built" in refused.stderr, refused
        run("bash", "-c", "find . -type f ! -name SHA256SUMS -print0 | xargs -0 sha256sum > SHA256SUMS", cwd=second)
        first = stack.rolled_back(name, "first", versions)
        number = first.add(stack.example("kettle:v1.0.0"))
        known, live = {one: first.code(one) for one in ("intake", "pin")}, first.code("intake", "live")
        assert live == known["intake"]
        newer = stack.rolled_back(name, "second", versions)
        assert newer.code("intake") != known["intake"] and newer.code("pin") == known["pin"]
        assert newer.code("intake", "live") == newer.code("intake")
        assert newer.document(number)["id"] == number
        back = stack.rolled_back(name, "first", versions)
        assert {one: back.code(one) for one in known} == known and back.code("intake", "live") == live
        assert back.document(number)["id"] == number
        assert run(str(ROOT / "infra/rollback"), env=os.environ | versions).split() == ["second", "first"]


def former() -> dict:
    """All templates as one, which was all there was: nothing was kept but table, bucket and repository. Without the watch, of which
    the emulator does not know all types."""
    template = read_template()
    del template["Outputs"]["DashboardName"]
    template["Resources"] = {
        name: resource for name, resource in template["Resources"].items() if not resource["Type"].startswith("AWS::CloudWatch::")
    }
    for resource in template["Resources"].values():
        if resource["Type"] not in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ECR::Repository"):
            resource.pop("DeletionPolicy", None)
    template["Resources"]["Table"]["Properties"].pop("DeletionProtectionEnabled")
    template["Resources"]["Bucket"]["Properties"].pop("VersioningConfiguration")
    return template


# Functions, one by one, with the documents of events/


def test_every_function_answers_its_documents(stack: Stack):
    number = stack.add(stack.example("kettle:v1.0.0"))
    stack.complete(number)
    for name, document in DOCUMENTS:
        content = event(document)
        if document == "api-graph":
            # Only a request that is complete has one.
            content["rawPath"] = f"/api/v1/builds/{number}/graph"
        answer = stack.invoke(name, content)
        if document.startswith("sqs-"):
            assert answer == {"batchItemFailures": []}, (document, answer)
        if document == "api-rollback":
            # The request that it names overwrote nothing.
            assert answer["statusCode"] == 400 and "nothing to put back" in answer["body"], answer
        elif document == "api-cancel":
            # Nobody made the request that it names, so it is not that of the document's user.
            assert answer["statusCode"] == 403 and "somebody else's" in answer["body"], answer
        elif document.startswith("api-"):
            assert answer["statusCode"] in (200, 201), (document, answer)
    assert len(DOCUMENTS) >= 13, DOCUMENTS


def function_of(document: str) -> str:
    """The function that a document of events/ is for."""
    sender, _, rest = document.partition("-")
    return {"api": "intake", "sqs": rest, "s3": "artifact", "sns": "artifact", "schedule": "prune", "stream": "notify"}[sender]


# api-add first: others ask for what it makes.
DOCUMENTS = [(function_of(path.stem), path.stem) for path in sorted((ROOT / "events").glob("*.json"))]


# Rights. The last test: it looks at what the functions did in all the others.


def test_functions_call_only_what_their_roles_grant(stack: Stack):
    known = yaml.safe_load((ROOT / "infra" / "rights.yaml").read_text())
    granted, faults = grants(), []
    for name in sorted({name for name, _ in DOCUMENTS}):
        calls = set()
        for line in stack.log_of(name).splitlines():
            if '"iib_aws::operations"' in line:
                entry = json.loads(line)
                calls.add((entry["service"], entry["operation"], entry.get("folder"), entry.get("keys")))
        assert calls, f"{name} traced no call; LogLevel has to have iib_aws::operations=debug"
        needed = set()
        for service, operation, folder, keys in sorted(calls, key=str):
            actions = known["operations"].get(service, {}).get(operation)
            if actions is None:
                faults.append(f"infra/rights.yaml does not know {service} {operation}, which {name} calls")
            needed |= {in_folder(action, folder) for action in actions or []}
            if service == "DynamoDB":
                assert keys, f"{name} traced {operation} without the kinds of its keys"
                kinds = {kind_of(key) for key in keys.split(",")}
                needed |= {on_kind(action, kind) for action in actions or [] for kind in kinds}
            # S3 tells a missing object from a forbidden one only to those who may list.
            if (service, operation) == ("S3", "GetObject"):
                needed.add(in_folder("s3:ListBucket", folder))
        reviewed = set()
        for entry in known["unseen"]:
            if entry["roles"] == "all" or name in entry["roles"]:
                reviewed |= {in_folder(action, folder) for action in entry.get("actions", []) for folder in entry.get("folders", [None])}
                reviewed |= set(entry.get("keys", []))
        faults += [f"{name} needs {action}, which its role does not grant" for action in sorted(needed - granted[name])]
        # Which actions, and which keys: not each with each.
        unused = apart(granted[name]) - apart(needed) - reviewed
        faults += [f"{name} is granted {action}, which it does not use" for action in sorted(unused)]
    assert not faults, "\n" + "\n".join(faults)


# The folders of the bucket; a right on all of it is one on each of them.
FOLDERS = {"inbox", "uploads", "results", "work", "kept", "records"}


def in_folder(action: str, folder: str | None) -> str:
    """Rights on the bucket are by folder."""
    return f"{action} {folder}/" if folder else action


def on_kind(action: str, kind: str) -> str:
    """Rights on the table are by the kind of a partition key, or by index."""
    return f"{action} on {kind}"


def kind_of(key: str) -> str:
    """As the template grants it: the indexes of listings together."""
    return re.sub(r"^index/by_.*", "index/by_*", key)


def apart(rights: set[str]) -> set[str]:
    return {part for right in rights for part in right.split(" on ")}


def grants() -> dict[str, set[str]]:
    """The actions that each function's role grants, conditional ones too, by folder for S3 and by kind of key for the table."""
    template = read_template()

    def actions(value) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(actions, value)) if value else set()
        if not isinstance(value, dict):
            return set()
        if "If" in value:
            return actions(value["If"][1:])
        if "Statement" in value:
            return actions(value["Statement"])
        action = value.get("Action", [])
        granted = [action] if isinstance(action, str) else action
        # Folders stand at the end of a resource's name, or in the condition of a listing.
        folders = set(re.findall(r"([a-z]+)/\*", json.dumps([value.get("Resource"), value.get("Condition")])))
        folders = folders or FOLDERS
        s3 = [name for name in granted if name.startswith("s3:")]
        by_kind = {on_kind(name, kind) for kind in kinds_granted(value) for name in granted}
        return set(granted) - set(s3) | {in_folder(name, folder) for name in s3 for folder in folders} | by_kind

    found = {}
    for name, _ in DOCUMENTS:
        role = "".join(part.title() for part in name.split("-")) + "Role"
        resources = template["Resources"]
        properties = resources[role]["Properties"]
        # Those by a condition, too.
        named = re.findall(r"'Ref': '(\w+)'", str(properties.get("ManagedPolicyArns", [])))
        shared = [resources[policy]["Properties"] for policy in named]
        policies = properties["Policies"] + shared
        found[name] = set().union(*(actions(policy["PolicyDocument"]) for policy in policies))
    return found


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
