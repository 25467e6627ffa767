#!/usr/bin/env python3
"""Counts the calls that each endpoint and one whole request make (`infra/local/stack calls`).

The functions of a stack that runs on this machine write a line for each call to AWS
(`iib_aws::operations`). Here every endpoint is called once while nothing else is asked, and an add
request is followed to its end; what was written is counted. Arguments: the folder of the stack;
`--into FILE` puts the tables into a document, between its lines for them. Nothing may go on on the
stack meanwhile.
"""

import argparse
import collections
import json
import sys
from pathlib import Path

from end_to_end import Stack, until

BEGIN, END = "<!-- calls.py: begin -->", "<!-- calls.py: end -->"
FUNCTIONS = ["intake", "pin", "mutate", "push", "notify"]


class Counter:
    """What functions have called since it was last asked."""

    def __init__(self, stack: Stack):
        self.stack = stack
        self.seen = dict.fromkeys(FUNCTIONS, 0)
        for name in FUNCTIONS:
            self.since(name)

    def since(self, name: str, runs: int = 0) -> collections.Counter:
        """The calls of a function, when it has run so often since."""
        lines = until(
            f"{name} has run",
            lambda: self.stack.log_of(name).splitlines()[self.seen[name]:],
            lambda lines: sum(line.startswith("REPORT") for line in lines) >= runs,
        )
        self.seen[name] += len(lines)
        entries = [json.loads(line) for line in lines if '"iib_aws::operations"' in line]
        return collections.Counter((entry["service"], entry["operation"]) for entry in entries)


def shown(calls: collections.Counter, service: str) -> str:
    """The calls to a service: `3 GetItem, 1 Query`."""
    found = sorted((operation, count) for (of, operation), count in calls.items() if of == service)
    return ", ".join(f"{count} {operation}" for operation, count in found)


def row(name: str, calls: collections.Counter) -> str:
    known = ["DynamoDB", "S3", "SQS"]
    other = sorted({service for service, _ in calls} - set(known))
    rest = "; ".join(f"{service}: {shown(calls, service)}" for service in other)
    all_of = sum(count for (service, _), count in calls.items() if service == "DynamoDB")
    cells = [shown(calls, service) for service in known]
    return f"| {name} | {all_of} | {cells[0]} | {cells[1]} | {'; '.join(filter(None, [cells[2], rest]))} |"


HEAD = "| | DynamoDB, all | DynamoDB | S3 | others |\n| --- | ---: | --- | --- | --- |"


def endpoints(stack: Stack, counter: Counter) -> list[str]:
    lantern, index = stack.example("lantern:v0.1.0"), f"{stack.registry}/iib-build:1"
    batch = [{"bundles": [lantern], "binary_image": stack.example("binary:v1"), "add_arches": ["amd64"]}] * 3
    first, _, listed = stack.call("GET", "/api/v1/builds?per_page=1")
    assert first == 200, listed
    counter.since("intake", 1)
    number = stack.add(lantern, from_index=index)
    post = counter.since("intake", 1)
    rows = [row("`POST builds/add`", post)]

    def one(name: str, method: str, path: str, body=None, allowed=(200, 201)):
        status, _, document = stack.call(method, f"/api/v1/{path}", body)
        assert status in allowed, (name, status, document)
        rows.append(row(f"`{method} {name}`", counter.since("intake", 1)))

    one("builds/add-rm-batch`, of three `", "POST", "builds/add-rm-batch", {"build_requests": batch})
    ended = stack.ended(number)
    counter.since("intake")
    assert ended["state"] == "complete", ended
    at, user = f"builds/{number}", "nobody@example.com"
    one("builds/<id>`, no new state `", "PATCH", at, {"arches": ["amd64"]})
    one("builds/<id>`, a new state `", "PATCH", at, {"state": "complete", "state_reason": "it was"})
    one("builds/<id>", "GET", at)
    one("builds/<id>/logs", "GET", f"{at}/logs")
    one("builds/<id>/plan", "GET", f"{at}/plan")
    one("builds/<id>/diff", "GET", f"{at}/diff")
    one("builds/<id>/graph", "GET", f"{at}/graph")
    one("builds/<id>/uploads", "GET", f"{at}/uploads")
    for name in ["related_bundles", "nested-bundles", "deprecation-schema"]:
        one(f"builds/<id>/{name}`, of another kind `", "GET", f"{at}/{name}", allowed=(400,))
    one("builds", "GET", "builds")
    one("builds?page=2&per_page=2", "GET", "builds?page=2&per_page=2")
    one("builds?state=", "GET", "builds?state=complete")
    one("builds?user=", "GET", f"builds?user={user}", allowed=(200, 400))
    one("builds?batch=", "GET", f"builds?batch={ended['batch']}")
    one("builds?from_index=", "GET", f"builds?from_index={index}")
    one("builds?from_index=&state=", "GET", f"builds?from_index={index}&state=complete")
    one("builds?from_index_startswith=", "GET", f"builds?from_index_startswith={stack.registry}/iib")
    one("builds?request_type=", "GET", "builds?request_type=add")
    one("healthcheck", "GET", "healthcheck")
    return [line.replace(" ``", "").replace("` `", "`") for line in rows]


def whole(stack: Stack, counter: Counter) -> list[str]:
    """One add request on an index that exists, until all of it is told."""
    quiet(stack, counter)
    number = stack.add(stack.example("lantern:v0.2.0"), from_index=f"{stack.registry}/iib-build:1")
    rows = [row("intake", counter.since("intake", 1))]
    # Its log says when it has ended; asking for it would be counted.
    until("it has ended", lambda: phase(stack, number), lambda phase: phase == "kept")
    until("all is told", lambda: outbox(stack), lambda waiting: waiting == 0)
    quiet_for = {name: counter.since(name) for name in ["pin", "mutate", "push", "notify"]}
    return rows + [row(name, calls) for name, calls in quiet_for.items()]


def phase(stack: Stack, number: int) -> str:
    key = {"pk": {"S": f"REQUEST#{number}"}, "sk": {"S": "RECORD"}}
    return stack.dynamodb.get_item(TableName=stack.table, Key=key)["Item"]["phase"]["S"]


def outbox(stack: Stack) -> int:
    return sum(item["pk"]["S"].startswith("OUTBOX#") for item in stack.items())


def quiet(stack: Stack, counter: Counter):
    """Waits until no request goes on and nothing is to be told."""
    going = lambda: [item for item in stack.items() if item.get("phase", {}).get("S") == "live"]
    until("nothing goes on", going, lambda found: not found)
    until("all is told", lambda: outbox(stack), lambda waiting: waiting == 0)
    for name in FUNCTIONS:
        counter.since(name)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--into", type=Path)
    given = arguments.parse_args()
    stack = Stack(given.folder)
    counter = Counter(stack)
    quiet(stack, counter)
    tables = ["### Each endpoint", HEAD + "\n" + "\n".join(endpoints(stack, counter))]
    tables += ["### One request, function by function", HEAD + "\n" + "\n".join(whole(stack, counter))]
    text = "\n\n".join(tables)
    if given.into is None:
        print(text)
        return
    document = given.into.read_text()
    if BEGIN not in document or END not in document:
        sys.exit(f"{given.into} has no place for the tables: it needs lines `{BEGIN}` and `{END}`")
    head, tail = document.split(BEGIN)[0], document.split(END)[1]
    given.into.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
