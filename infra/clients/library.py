"""iiblib and pubtools-iib, as they come from the package index, against the service.

Nothing in them is changed but the clock that iiblib waits by, which looks every 30 seconds; what it imports for
Kerberos is in `stubs`.
"""

import base64
import json
import os
import ssl
import time
import types
import urllib.request
from importlib.metadata import version
from pathlib import Path

from iiblib import iib_build_details_model as models
from iiblib import iib_client
from iiblib.iib_authentication import IIBKrbAuth

from common import (
    BINARY,
    CATALOG,
    FRONT,
    INDEX,
    ORGANIZATION,
    PATIENCE,
    REGISTRY,
    USER,
    check,
    complete,
    example,
    fragment,
    multi_arch,
    summary,
    well_formed,
)

iib_client.time = types.SimpleNamespace(time=time.time, sleep=lambda _: time.sleep(0.1))

# What clients read of every request, and of an add.
ALWAYS = {"id", "arches", "state", "state_reason", "request_type", "batch", "updated", "user"}
OF_ADD = {
    "binary_image",
    "binary_image_resolved",
    "build_tags",
    "bundles",
    "bundle_mapping",
    "deprecation_list",
    "distribution_scope",
    "from_index",
    "from_index_resolved",
    "index_image",
    "index_image_resolved",
    "internal_index_image_copy",
    "internal_index_image_copy_resolved",
    "removed_operators",
    "organization",
    "omps_operator_version",
}
SCHEMA = json.dumps(
    {
        "schema": "olm.deprecations",
        "package": "lantern",
        "entries": [{"reference": {"schema": "olm.bundle", "name": "lantern.v0.1.0"}, "message": "Take a newer one."}],
    }
)


def attributes(build, names):
    """All of them, read as callers do. One that is not there raises."""
    return {name: getattr(build, name) for name in names}


def text_of(url):
    """As a person with a browser: no login."""
    with urllib.request.urlopen(
        url, timeout=PATIENCE, context=ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    ) as answer:
        return answer.read().decode()


def ended(client, build):
    """Lets the client wait, and looks at what it read."""
    check(
        f"iiblib: {build.request_type} {build.id} begins as this user's, in progress",
        (build.user, build.state) == (USER, "in_progress"),
    )
    done = client.wait_for_build(build)
    document = done.to_dict()
    attributes(done, ALWAYS)
    check(f"iiblib: it is read as {type(done).__name__}", type(done) is type(build) and done.id == build.id)
    well_formed("iiblib", client.get_build(build.id, raw=True))
    complete("iiblib", document)
    log = text_of(done.logs["url"])
    check(
        "iiblib: its log is read without login, and ends with the reason",
        done.state_reason in log.splitlines()[-1],
        log,
    )
    return done


def additions(client):
    first = ended(
        client,
        client.add_bundles(
            None,
            [example("lantern:v0.1.0"), example("kettle:v1.0.0")],
            ["amd64", "arm64"],
            binary_image=BINARY,
            build_tags=["of-iiblib", "again"],
        ),
    )
    made = attributes(first, OF_ADD)
    wanted = {
        "binary_image": BINARY,
        "build_tags": ["again", "of-iiblib"],
        "deprecation_list": [],
        "from_index": None,
        "from_index_resolved": None,
        "removed_operators": [],
        "organization": None,
        "omps_operator_version": {},
        "distribution_scope": "prod",
        "bundle_mapping": {"lantern": [example("lantern:v0.1.0")], "kettle": [example("kettle:v1.0.0")]},
    }
    check("iiblib: of an add from nothing all is as it was asked for", made | wanted == made, made)
    check(
        "iiblib: so are bundles and architectures",
        sorted(made["bundles"]) == [example("kettle:v1.0.0"), example("lantern:v0.1.0")]
        and first.arches == ["amd64", "arm64"],
        made,
    )
    for name in ("binary_image_resolved", "index_image_resolved", "internal_index_image_copy_resolved"):
        check(f"iiblib: {name} is there by digest", "@sha256:" in made[name], made)
    for tag in (made["index_image"], made["internal_index_image_copy"], f"{REGISTRY}/iib-build:of-iiblib"):
        multi_arch("iiblib", tag, ["amd64", "arm64"])

    second = ended(client, client.add_bundles(INDEX, [example("lantern:v0.3.0")], None, binary_image=BINARY))
    check(
        "iiblib: an add to an index knows it by digest",
        second.from_index == INDEX and "@sha256:" in second.from_index_resolved,
    )
    check("iiblib: and has its architectures", second.arches == ["amd64", "arm64"], second.arches)

    check(
        "iiblib: logs.url is at the address that was called",
        second.logs["url"].startswith(f"https://{FRONT}/"),
        second.logs,
    )
    log = text_of(second.logs["url"])
    check("iiblib: and the log there has what was done", "+ bundle lantern/lantern.v0.3.0" in log, log)
    check(
        "iiblib: the history ends with how it began",
        second.state_history[-1]["state"] == "in_progress",
        second.state_history,
    )
    return second


def regenerated(bundle):
    """A request for a bundle made anew."""
    return {"from_bundle_image": example(bundle), "organization": ORGANIZATION}


def other_kinds(client):
    # A document that does not belong to its class, or lacks a member of it, raises.
    def posted(endpoint, body, model):
        answer = client.iib_session.post(f"builds/{endpoint}", json=body)
        client._check_response(answer)
        return model.from_dict(answer.json())

    image = {"binary_image": BINARY}
    submitted = [
        client.remove_operators(INDEX, ["kettle"], None, binary_image=BINARY, build_tags=["fewer"]),
        client.regenerate_bundle(example("lantern:v0.1.0"), organization=ORGANIZATION),
        client.create_empty_index(INDEX, binary_image=BINARY, labels={"team": "catalogs"}),
        client.add_deprecations(CATALOG, SCHEMA, "lantern", binary_image=BINARY),
        # Kinds of which the client has the answer's class, but no call.
        posted(
            "merge-index-image",
            image | {"source_from_index": INDEX, "target_index": f"{REGISTRY}/iib-build:newer"},
            models.MergeIndexImageModel,
        ),
        posted(
            "fbc-operations",
            image | {"from_index": CATALOG, "fbc_fragment": fragment("a")},
            models.FBCOperationsModel,
        ),
        posted(
            "recursive-related-bundles",
            {"parent_bundle_image": example("lantern:v0.1.0"), "organization": ORGANIZATION},
            models.RecursiveRelatedBundlesModel,
        ),
    ]
    done = {build.request_type: ended(client, build) for build in submitted}
    check("iiblib: rm has the operators to remove", done["rm"].removed_operators == ["kettle"])
    multi_arch("iiblib", f"{REGISTRY}/iib-build:fewer", ["amd64", "arm64"])
    empty = done["create-empty-index"]
    check(
        "iiblib: the empty index has its labels and digest",
        empty.labels == {"team": "catalogs"} and "@sha256:" in empty.index_image_resolved,
    )
    multi_arch("iiblib", empty.index_image, ["amd64", "arm64"])
    schema = done["add-deprecations"].deprecation_schema_url
    check("iiblib: the schema is where the answer says, as it was sent", text_of(schema) == SCHEMA, schema)
    made = attributes(
        done["regenerate-bundle"],
        ("bundle_image", "from_bundle_image", "from_bundle_image_resolved", "organization"),
    )
    check(
        "iiblib: the bundle made anew is another one, of its organization",
        made["bundle_image"] == f"{REGISTRY}/iib-build:{done['regenerate-bundle'].id}"
        and made["from_bundle_image"] == example("lantern:v0.1.0")
        and "@sha256:" in made["from_bundle_image_resolved"]
        and made["organization"] == ORGANIZATION,
        made,
    )
    text = text_of(f"https://{FRONT}/api/v1/builds/{done['regenerate-bundle'].id}/diff?format=text")
    check(
        "iiblib: whose images are another registry's, by digest",
        f"+                    image: {REGISTRY}/examples/lantern@sha256:" in text,
        text,
    )
    related = attributes(
        done["recursive-related-bundles"],
        ("nested_bundles", "organization", "parent_bundle_image", "parent_bundle_image_resolved"),
    )
    check(
        "iiblib: the bundle whose related ones were asked for is known by digest",
        "@sha256:" in related["parent_bundle_image_resolved"],
        related,
    )

    for endpoint, requests in (
        (
            "add-rm-batch",
            [
                image | {"from_index": INDEX, "bundles": [example("lantern:v0.3.0")]},
                image | {"from_index": INDEX, "operators": ["kettle"]},
            ],
        ),
        ("regenerate-bundle-batch", [regenerated(f"lantern:v0.{minor}.0") for minor in (1, 2)]),
    ):
        answer = client.iib_session.post(
            f"builds/{endpoint}", json={"build_requests": requests, "annotations": {"why": "test"}}
        )
        client._check_response(answer)
        builds = [models.IIBBuildDetailsModel.from_dict(document) for document in answer.json()]
        check(
            f"iiblib: of {endpoint} all have one batch",
            len({build.batch for build in builds}) == 1 and len(builds) == 2,
        )
        for build in builds:
            check("iiblib: with its annotations", ended(client, build).batch_annotations == {"why": "test"})


def refusals_and_lists(client):
    for what, call, text in (
        (
            "a wrong call",
            lambda: client.add_bundles(INDEX, ["no-tag"], None, binary_image=BINARY),
            "Image no-tag should have a tag or a digest specified.",
        ),
        ("a number that is not there", lambda: client.get_build(999999), "The requested resource was not found"),
    ):
        said = None
        try:
            call()
        except iib_client.IIBException as error:
            said = str(error)
        check(f"iiblib: {what} raises with the text of the service", said == text, said)

    # So many that there is a second page.
    client._check_response(
        client.iib_session.post(
            "builds/regenerate-bundle-batch",
            json={"build_requests": [regenerated("lantern:v0.1.0")] * 20},
        )
    )
    pager = client.get_builds()
    numbers = [build.id for build in pager.items()]
    check("iiblib: the listing is newest first", numbers == sorted(numbers, reverse=True) and numbers, numbers)
    pager.next()
    older = [build.id for build in pager.items()]
    check("iiblib: its next page goes on", older and max(older) < min(numbers), older)
    pager.prev()
    check("iiblib: and back", [build.id for build in pager.items()] == numbers)


def pubtools():
    from pubtools.iib import iib_ops

    common = [
        "x",
        "--iib-server",
        FRONT,
        "--iib-krb-principal",
        USER,
        "--index-image",
        INDEX,
        "--binary-image",
        BINARY,
        "--build-timeout",
        str(PATIENCE),
    ]

    def items(folder):
        return [json.loads(line) for line in next(Path(folder).rglob("pushitems.jsonl")).read_text().splitlines()]

    def run(name, main, *arguments):
        """In a folder of its own, where it writes what it pushed."""
        folder = Path(os.environ["CLIENTS_WORK"], name)
        folder.mkdir()
        back = os.getcwd()
        os.chdir(folder)
        try:
            return main([*common, *arguments]), items(folder)
        except SystemExit as end:
            return end.code, items(folder)
        finally:
            os.chdir(back)

    build, pushed = run(
        "added",
        iib_ops.add_bundles_main,
        "--bundle",
        example("lantern:v0.3.0"),
        "--arch",
        "amd64",
        "--build-tag",
        "of-pubtools",
    )
    check("pubtools-iib: add-bundles builds", getattr(build, "state", None) == "complete", build)
    wanted = {
        "state": "PUSHED",
        "origin": INDEX,
        "src": example("lantern:v0.3.0"),
        "filename": "lantern",
        "build": build.index_image,
    }
    check("pubtools-iib: and records what it pushed", pushed[-1] | wanted == pushed[-1], pushed)
    multi_arch("pubtools-iib", f"{REGISTRY}/iib-build:of-pubtools", ["amd64", "arm64"])
    for name, kind, main, arguments, state in (
        ("removed", "rm", iib_ops.remove_operators_main, ["--operator", "kettle"], "DELETED"),
        (
            "deprecated",
            "add-deprecations",
            iib_ops.add_deprecations_main,
            ["--index-image", CATALOG, "--operator-package", "lantern", "--deprecation-schema", SCHEMA],
            "PUSHED",
        ),
    ):
        outcome, pushed = run(name, main, *arguments)
        if isinstance(outcome, int):
            check(f"pubtools-iib: {kind} fails with exit code 1", outcome == 1, outcome)
            complete("pubtools-iib", newest(kind))
            state = "NOTPUSHED"
        else:
            complete("pubtools-iib", outcome.to_dict())
        check(f"pubtools-iib: and records {state}", pushed[-1]["state"] == state, pushed)


def newest(kind):
    url = f"https://{FRONT}/api/v1/builds?request_type={kind}"
    return json.loads(text_of(url))["items"][0]


def main():
    print(f"iiblib {version('iiblib')}, pubtools-iib {version('pubtools-iib')}")
    auth = IIBKrbAuth(USER, FRONT.split(":")[0])
    client = iib_client.IIBClient(FRONT, auth=auth, wait_for_build_timeout=PATIENCE)
    sent = client.iib_session.session.headers["Authorization"]
    check(
        "iiblib: it logs in by ticket", base64.b64decode(sent.removeprefix("Negotiate ")).decode().endswith(USER), sent
    )
    additions(client)
    other_kinds(client)
    refusals_and_lists(client)
    pubtools()
    summary("iiblib and pubtools-iib")


main()
