"""What both halves of the test share: what the service cannot do yet, waiting, and counting."""

import http.client
import json
import os
import re
import time
from pathlib import Path

# The work of these kinds is not built, so they end in `failed`. Whoever builds one takes it out of here, gives it
# inputs that are there, and sees what its clients then want.
NOT_BUILT = {
    "regenerate-bundle",
    "recursive-related-bundles",
}
# Far more than anything here takes on a slow machine.
PATIENCE = 60

FRONT = os.environ["CLIENTS_FRONT"]  # host and port
REGISTRY = os.environ["CLIENTS_REGISTRY"]
USER = os.environ["CLIENTS_USER"]
BINARY = f"{REGISTRY}/examples/binary:v1"
INDEX = f"{REGISTRY}/iib-build:first"
# Made by inputs.py.
CATALOG = f"{REGISTRY}/iib-build:catalog"

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


def ended_as_expected(who, build):
    """A request that has ended: as a document."""
    kind, state, reason = build["request_type"], build["state"], build["state_reason"]
    if kind in NOT_BUILT:
        # The first half of the reason is what tells a user what happened, the kind what it was about.
        holds = state == "failed" and "cannot do the work" in reason and kind in reason
        check(f"{who}: {kind}, which is not built, ends in failed and says so", holds, f"{state}: {reason}")
    else:
        check(f"{who}: {kind} ends in complete", state == "complete", f"{state}: {reason}")


def well_formed(who, build):
    """What every answer about a request has to be."""
    check(f"{who}: no error in {build['request_type']} {build['id']}", "error" not in build, build)
    times = [build["updated"]] + [entry["updated"] for entry in build.get("state_history", [])]
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"
    check(f"{who}: times have six digits of a second, or none", all(re.fullmatch(form, at) for at in times), times)


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
