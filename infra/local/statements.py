#!/usr/bin/env python3
"""Writes what the packed functions consist of, and of what and how they were made, beside them in target/lambda:

  sbom.spdx.json    every crate in each function, with version, licence and digest (SPDX 2.3)
  provenance.json   digests of what was made, and of what it was made of (in-toto statement, SLSA provenance 1.0)

The same sources give the same bytes, wherever and whenever: times are those of the commit. Nothing is signed here; whoever
publishes it signs it. Exit code 1: something cannot be said, and what.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "target" / "lambda"
TRIPLES = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
NOT_SAID = "NOASSERTION"
CRATE = "SPDXRef-crate-"
LOCKED = re.compile(r'\[\[package\]\]\nname = "(?P<name>[^"]+)"\nversion = "(?P<version>[^"]+)"\n(?:source = "[^"]+"\n)?(?:checksum = "(?P<checksum>[0-9a-f]{64})")?')


class Failure(Exception):
    """Something cannot be said; the text is all there is to say."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--architecture", choices=TRIPLES, required=True)
    parser.add_argument("--profile", required=True, help="the profile of cargo that it was built with")
    parser.add_argument("--packages", type=Path, help="folder with the zip files")
    parser.add_argument("names", nargs="+", metavar="FUNCTION")
    arguments = parser.parse_args()
    try:
        source = Source()
        materials = sbom(arguments.names, arguments.architecture, source)
        write(FOLDER / "sbom.spdx.json", materials)
        write(FOLDER / "provenance.json", provenance(arguments, source))
    except (Failure, OSError, subprocess.CalledProcessError) as error:
        print(f"statements: {error}", file=sys.stderr)
        return 1
    crates = sum(package["SPDXID"].startswith(CRATE) for package in materials["packages"])
    print(f"target/lambda/sbom.spdx.json: {crates} crates; target/lambda/provenance.json")
    return 0


class Source:
    """What it is made of: a commit, or a copy of one without its history."""

    def __init__(self):
        self.commit = said("git", "rev-parse", "HEAD", or_none=True)
        self.is_changed = bool(self.commit) and bool(said("git", "status", "--porcelain"))
        seconds = os.environ.get("SOURCE_DATE_EPOCH") or (said("git", "show", "-s", "--format=%ct", "HEAD") if self.commit else "0")
        self.time = datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(*command: str, or_none: bool = False) -> str | None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout.strip()
    if or_none:
        return None
    raise Failure(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path: Path, document: dict) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def crates_of(function: str, architecture: str) -> list[tuple[str, str, str]]:
    """Name, version and licence of each crate whose code is in the function."""
    tree = said(
        "cargo", "tree", "--locked", f"--package=iib-{function}", "--edges=normal,no-proc-macro", "--prefix=none", "--no-dedupe",
        f"--target={TRIPLES[architecture]}", "--format={p}\t{l}",
    )
    found = set()
    for line in filter(str.strip, tree.splitlines()):
        package, _, licence = line.partition("\t")
        name, version = package.split(" ")[:2]
        # Crates of long ago separate with a slash.
        found.add((name, version.removeprefix("v"), re.sub(r"\s*/\s*", " OR ", licence.strip())))
    return sorted(found)


def sbom(names: list[str], architecture: str, source: Source) -> dict:
    lock = (ROOT / "Cargo.lock").read_text(encoding="utf-8")
    checksums = {(match["name"], match["version"]): match["checksum"] for match in LOCKED.finditer(lock)}
    packages, relationships = {}, []
    for function in names:
        own = f"SPDXRef-function-{function}"
        packages[own] = {
            **package(own, f"iib-{function}", said("git", "describe", "--always", "--dirty", or_none=True) or NOT_SAID),
            "checksums": [{"algorithm": "SHA256", "checksumValue": digest(FOLDER / function / "bootstrap")}],
            "primaryPackagePurpose": "APPLICATION",
        }
        relationships.append(related("SPDXRef-DOCUMENT", "DESCRIBES", own))
        for name, version, licence in crates_of(function, architecture):
            if (name, version) not in checksums:
                raise Failure(f"Cargo.lock has no {name} {version}")
            reference = CRATE + re.sub(r"[^A-Za-z0-9.-]", "-", f"{name}-{version}")
            packages[reference] = {
                **package(reference, name, version),
                "licenseDeclared": licence or NOT_SAID,
                "primaryPackagePurpose": "LIBRARY",
                "externalRefs": [{
                    "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": f"pkg:cargo/{name}@{version}",
                }],
            }
            if checksum := checksums[name, version]:
                packages[reference]["checksums"] = [{"algorithm": "SHA256", "checksumValue": checksum}]
            relationships.append(related(reference, "STATIC_LINK", own))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"iib-serverless-{architecture}",
        "documentNamespace": f"urn:iib-serverless:sbom:{source.commit or 'unknown'}:{architecture}",
        "creationInfo": {"created": source.time, "creators": ["Tool: infra-local-statements"]},
        "packages": [packages[reference] for reference in sorted(packages)],
        "relationships": relationships,
    }


def package(reference: str, name: str, version: str) -> dict:
    return {
        "SPDXID": reference,
        "name": name,
        "versionInfo": version,
        "downloadLocation": NOT_SAID,
        "filesAnalyzed": False,
        "licenseConcluded": NOT_SAID,
        "licenseDeclared": "Apache-2.0",
        "copyrightText": NOT_SAID,
    }


def related(one: str, how: str, other: str) -> dict:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}


def provenance(arguments: argparse.Namespace, source: Source) -> dict:
    made = {f"{name}/bootstrap": FOLDER / name / "bootstrap" for name in arguments.names}
    if arguments.packages:
        made |= {f"{name}.zip": arguments.packages / f"{name}.zip" for name in arguments.names}
    made |= {"sbom.spdx.json": FOLDER / "sbom.spdx.json", "template.yaml": ROOT / "template.yaml"}
    made |= {f"infra/{path.name}": path for path in sorted((ROOT / "infra").glob("*.yaml")) if "Resources:" in path.read_text(encoding="utf-8")}
    # Which commit, and whether what was built is that commit.
    materials = [{"name": "source", "digest": {"gitCommit": source.commit}, "annotations": {"changed": source.is_changed}}] if source.commit else []
    materials.append({"name": "Cargo.lock", "digest": {"sha256": digest(ROOT / "Cargo.lock")}})
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest(path)}} for name, path in sorted(made.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:iib-serverless:infra/build:1",
                "externalParameters": {"architecture": arguments.architecture, "profile": arguments.profile},
                "internalParameters": {"rustc": said("rustc", "--version"), "cargo": said("cargo", "--version")},
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": "urn:iib-serverless:infra/build"}},
        },
    }


if __name__ == "__main__":
    sys.exit(main())
