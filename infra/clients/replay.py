"""The calls of the Konflux release client and of operator-pipelines, and what they need of the answers.

Written from what is known of their behaviour; nothing of their code is here. Only the standard library is needed.
"""

import http.client
import http.server
import json
import os
import threading
from urllib.parse import urlencode

from calls import API, TICKET, call, ended, of_number, posted
from common import (
    BINARY,
    CATALOG,
    FRONT,
    INDEX,
    PATIENCE,
    REGISTRY,
    USER,
    check,
    complete,
    example,
    fragment,
    multi_arch,
    publish,
    summary,
    until,
    well_formed,
)


def listed(**filters):
    """The first page of a listing, read without login; there is no other page for these clients."""
    status, page = call("GET", f"{API}?{urlencode(filters)}")
    check(
        f"replay: the listing by {', '.join(filters)} is read without login",
        status == 200 and "error" not in page,
        (status, page),
    )
    return page["items"]


class Gate(http.server.BaseHTTPRequestHandler):
    """The registry under another port, which answers only once it may: a request that needs it stays in progress."""

    protocol_version = "HTTP/1.1"
    opened = threading.Event()

    def pass_on(self):
        if not self.opened.wait(PATIENCE):
            return self.send_error(504)
        connection = http.client.HTTPConnection(REGISTRY, timeout=PATIENCE)
        try:
            connection.request(self.command, self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in ("content-type", "docker-content-digest", "content-length"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        finally:
            connection.close()

    do_GET = do_HEAD = pass_on

    def log_message(self, *_):
        pass


def login():
    for what, headers in (("without a ticket", {}), ("with a forged name", {"X-Remote-User": USER})):
        status, _ = call("POST", f"{API}/add", {"bundles": []}, headers)
        check(f"replay: POST {what} is refused", status == 401, status)


def release():
    """update_fbc_catalog: is there a build of these fragments? Otherwise ask for one, and wait for it."""
    # An index in the place of the published one.
    target = f"{REGISTRY}/iib-build:v4.6"
    publish(CATALOG, target)
    fragments = sorted(fragment(name) for name in ("b", "a"))
    status, answer = call("GET", f"{API}?{urlencode({'user': USER, 'from_index': target, 'state': 'complete'})}")
    unknown = {"error": f"from_index {target} is not a valid index image"}
    check(
        "replay: an index that no request has named is answered as ever",
        (status, answer) == (400, unknown),
        (status, answer),
    )

    token = "robot:not-to-be-seen"
    asked = {
        "fbc_fragments": fragments,
        "from_index": target,
        "binary_image": BINARY,
        "build_tags": ["v4.6-1700000000", "nightly"],
        "add_arches": ["amd64", "arm64"],
        "overwrite_from_index": True,
        "overwrite_from_index_token": token,
    }
    build = posted("fbc-operations", asked)
    well_formed("replay", build)
    check("replay: it is this user's, and in progress", (build["user"], build["state"]) == (USER, "in_progress"), build)
    check("replay: fragments are those that were sent", build["fbc_fragments"] == fragments, build["fbc_fragments"])
    check(
        "replay: tags are those that were sent", build["build_tags"] == sorted(asked["build_tags"]), build["build_tags"]
    )
    done = until("the release has ended", lambda: of_number(build["id"]), lambda seen: seen["state"] != "in_progress")
    well_formed("replay", done)
    relied_on = {
        "id",
        "state",
        "state_reason",
        "updated",
        "user",
        "fbc_fragments",
        "build_tags",
        "distribution_scope",
        "from_index",
        "from_index_resolved",
        "index_image",
        "index_image_resolved",
        "logs",
    }
    check("replay: all members are there that it reads", relied_on <= set(done), relied_on - set(done))
    check(
        "replay: the scope is one that it compares",
        done["distribution_scope"] in (None, "stage", "prod"),
        done["distribution_scope"],
    )
    check(
        "replay: the log is where it was called",
        done["logs"]["url"] == f"https://{FRONT}{API}/{done['id']}/logs",
        done["logs"],
    )
    check(
        "replay: nothing shows the token",
        token not in json.dumps([build, done]) and "overwrite_from_index_token" not in done,
    )
    complete("replay", done)
    check("replay: after overwriting, index_image is from_index", done["index_image"] == target, done["index_image"])
    check(
        "replay: both are known by digest",
        "@sha256:" in done["index_image_resolved"] and "@sha256:" in done["from_index_resolved"],
        done,
    )
    multi_arch("replay", target, asked["add_arches"])
    for state in ("complete", "in_progress", "failed"):
        found = [one["id"] for one in listed(user=USER, from_index=target, state=state)]
        check(
            f"replay: it is found as {state} if it is",
            found == ([build["id"]] if state == done["state"] else []),
            found,
        )


def finding(gate):
    """What a release client finds of what runs and what is done, on the first page only."""
    target = f"{REGISTRY}/iib-build:v4.7"
    publish(INDEX, target)
    add = {"from_index": target, "binary_image": BINARY}
    many = [add | {"bundles": [example("lantern:v0.3.0")], "build_tags": [f"batch-{number}"]} for number in range(22)]
    batch = pipelines(many)
    numbers = [build["id"] for build in batch]
    page = listed(user=USER, from_index=target, state="complete")
    check(
        "replay: of 22 the first page has the 20 newest, newest first",
        [one["id"] for one in page] == sorted(numbers, reverse=True)[:20],
        [one["id"] for one in page],
    )
    for build in page[:2]:
        well_formed("replay", build)
    check(
        "replay: nobody else's are found", listed(user="nobody@EXAMPLE.TEST", from_index=target, state="complete") == []
    )

    # A build is fresh unless it was made before the index was; so it has to be the younger one of both.
    before, after = multi_arch("replay", target, ["amd64", "arm64"]), multi_arch(
        "replay", page[0]["index_image"], ["amd64", "arm64"]
    )
    check("replay: a build is younger than the index that it is from", after > before, (before, after))

    held = posted("add", add | {"bundles": [f"{gate}/examples/lantern:v0.3.0"]})
    found = listed(user=USER, from_index=target, state="in_progress")
    check(
        "replay: what runs is found in progress, and nothing else", [one["id"] for one in found] == [held["id"]], found
    )
    done = [one["id"] for one in listed(user=USER, from_index=target, state="complete")]
    check("replay: and not among what is done", held["id"] not in done, done)
    Gate.opened.set()
    end = until(
        "the held request has ended", lambda: of_number(held["id"]), lambda seen: seen["state"] != "in_progress"
    )
    complete("replay", end)
    check(
        "replay: then it is the first of what is done",
        listed(user=USER, from_index=target, state="complete")[0]["id"] == held["id"],
    )
    check("replay: and runs no more", listed(user=USER, from_index=target, state="in_progress") == [])


def pipelines(requests):
    """operator-pipelines: a batch, and waiting until all of it has ended. Gives what it asks of the batch at the end."""
    answer = posted("add-rm-batch", {"build_requests": requests})
    check(
        "replay: the answer is a list, one for each, in order",
        [one["build_tags"] for one in answer] == [one.get("build_tags", []) for one in requests],
        answer,
    )
    number = answer[0]["batch"]
    check("replay: of one batch", {one["batch"] for one in answer} == {number}, answer)

    def batch():
        found, page = [], f"{API}?{urlencode({'batch': number})}"
        while page:
            status, document = call("GET", page)
            if status != 200:
                raise SystemExit(f"clients: {status} for {page}: {document}")
            found += document["items"]
            page = document["meta"]["next"] and document["meta"]["next"].removeprefix(f"https://{FRONT}")
        return found

    done = until(f"batch {number} has ended", batch, lambda found: all(one["state"] != "in_progress" for one in found))
    check(
        "replay: the batch's listing has all of it",
        sorted(one["id"] for one in done) == [one["id"] for one in answer],
        done,
    )
    for build in done:
        complete("replay", build)
    return done


def operators():
    image = {"from_index": INDEX, "binary_image": BINARY}
    done = pipelines(
        [image | {"bundles": [example("kettle:v1.1.0")], "build_tags": ["kettle"]}, image | {"operators": ["lantern"]}]
    )
    added = next(one for one in done if one["request_type"] == "add")
    check(
        "replay: what was added has image and digest",
        added["index_image"] and "@sha256:" in added["index_image_resolved"],
        added,
    )
    operations = image | {"from_index": CATALOG, "fbc_fragments": [fragment("a")]}
    complete("replay", ended(posted("fbc-operations", operations)["id"]))
    # These three a client tries again; nothing else may look like them.
    status, document = call("POST", f"{API}/add-rm-batch", {"build_requests": []}, TICKET)
    check(
        "replay: a wrong batch is 400, which is not tried again",
        status == 400 and document["error"],
        (status, document),
    )


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CLIENTS_GATE"])), Gate)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    login()
    release()
    finding(f"127.0.0.1:{server.server_port}")
    operators()
    summary("replay")


main()
