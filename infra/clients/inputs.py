"""Inputs that the demo does not make: an index with a file-based catalog, fragments of catalogs, and the images that
the example bundles name."""

from calls import ended, posted
from common import BINARY, CATALOG, INDEX, check, example, fragment, publish, summary


def made(kind, body):
    done = ended(posted(kind, {"binary_image": BINARY} | body)["id"])
    check(f"inputs: {kind} ends in complete", done["state"] == "complete", done["state_reason"])
    return done["index_image"]


def main():
    empty = made("create-empty-index", {"from_index": INDEX, "output_fbc": True})
    for tag, bundles in (
        (CATALOG, ["lantern:v0.1.0"]),
        (fragment("a"), ["kettle:v1.0.0"]),
        (fragment("b"), ["lantern:v0.1.0", "lantern:v0.2.0"]),
    ):
        body = {"from_index": empty, "bundles": [example(bundle) for bundle in bundles]}
        made("add", body | {"build_tags": [tag.rsplit(":", 1)[1]]})
    # Any image will do in the place of an operator.
    for version in ("0.1.0", "0.2.0"):
        publish(example("lantern:v0.1.0"), example(f"lantern:{version}"))
    summary("inputs")


main()
