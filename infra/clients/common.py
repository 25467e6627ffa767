"""What all parts of the test share: names, waiting, and counting."""

import http.client
import json
import os
import re
import time
from pathlib import Path

# Far more than anything here takes on a slow machine.
PATIENCE = 60

FRONT = os.environ["CLIENTS_FRONT"]  # host and port
REGISTRY = os.environ["CLIENTS_REGISTRY"]
USER = os.environ["CLIENTS_USER"]
BINARY = f"{REGISTRY}/examples/binary:v1"
INDEX = f"{REGISTRY}/iib-build:first"
# Made by inputs.py.
CATALOG = f"{REGISTRY}/iib-build:catalog"
# Whose bundles take their images from this registry, in the place of the one that the examples name.
ORGANIZATION = "company"

LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

passed = 0


def check(what, holds, seen=None):
    global passed
    if not holds:
        raise SystemExit(f"clients: not so: {what}" + ("" if seen is None else f"\n  seen: {seen}"))
    passed += 1
    print(f"ok  {what}", flush=True)


def summary(who):
    """The last line, also for `test`."""
    line = f"{who}: {passed} checks passed"
    print(line, flush=True)
    Path(os.environ["CLIENTS_WORK"], "said").write_text(line)


def until(what, look, holds):
    """Looks until something holds, and gives what was seen."""
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            raise SystemExit(f"clients: not within {PATIENCE} s: {what}\n  seen: {seen}")
        time.sleep(0.1)


def example(name):
    return f"{REGISTRY}/examples/{name}"


def fragment(name):
    """A fragment of a catalog, made by inputs.py."""
    return f"{REGISTRY}/iib-build:fragment-{name}"


def complete(who, build):
    """A request that has ended: as a document."""
    check(
        f"{who}: {build['request_type']} ends in complete",
        build["state"] == "complete",
        f"{build['state']}: {build['state_reason']}",
    )


def well_formed(who, build):
    """What every answer about a request has to be."""
    check(f"{who}: no error in {build['request_type']} {build['id']}", "error" not in build, build)
    times = [build["updated"]] + [entry["updated"] for entry in build.get("state_history", [])]
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"
    check(f"{who}: times have six digits of a second, or none", all(re.fullmatch(form, at) for at in times), times)


def publish(source, target):
    """Gives an image one more tag in its repository."""
    path = lambda spec: "/v2/{}/manifests/{}".format(*spec.removeprefix(f"{REGISTRY}/").rsplit(":", 1))
    connection = http.client.HTTPConnection(REGISTRY, timeout=PATIENCE)
    try:
        connection.request("GET", path(source), headers={"Accept": f"{LIST}, {MANIFEST}"})
        answer = connection.getresponse()
        media_type, manifest = answer.getheader("Content-Type"), answer.read()
        connection.request("PUT", path(target), manifest, {"Content-Type": media_type})
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    check(f"{target} is there", answer.status == 201, answer.status)


class Registry:
    """Reads images, as clients do."""

    def get(self, repository, what, accept="*/*"):
        connection = http.client.HTTPConnection(REGISTRY, timeout=PATIENCE)
        try:
            connection.request("GET", f"/v2/{repository}/{what}", headers={"Accept": accept})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise SystemExit(f"clients: {answer.status} of the registry for {repository}/{what}: {body[:200]}")
        return answer.getheader("Content-Type"), json.loads(body)

    def index(self, pull_spec):
        """The manifest list of an index, its media type, and what images say of when they were made."""
        repository, _, reference = pull_spec.removeprefix(f"{REGISTRY}/").partition("@" if "@" in pull_spec else ":")
        media_type, document = self.get(repository, f"manifests/{reference}", LIST)
        created = []
        for entry in document["manifests"]:
            _, manifest = self.get(repository, f"manifests/{entry['digest']}", MANIFEST)
            created.append(self.get(repository, f"blobs/{manifest['config']['digest']}")[1]["created"])
        return media_type, document, created


def multi_arch(who, pull_spec, arches):
    """How the release client sees that an index has several architectures."""
    media_type, document, created = Registry().index(pull_spec)
    check(f"{who}: {pull_spec} is a Docker manifest list", media_type == document["mediaType"] == LIST, document)
    kinds = {entry["mediaType"] for entry in document["manifests"]}
    check(f"{who}: its entries are Docker manifests", kinds == {MANIFEST}, kinds)
    known = sorted(entry["platform"]["architecture"] for entry in document["manifests"])
    check(f"{who}: and of the architectures asked for", known == sorted(arches), known)
    return max(created)
