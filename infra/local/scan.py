#!/usr/bin/env python3
"""Holds what checkov finds in the template against infra/exceptions.yaml. Exit code 1, and every fault on a line, where
something is found that is not there, or nothing is found for what is there."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from check import ROOT
from resolved import resolved

EXCEPTIONS = ROOT / "infra" / "exceptions.yaml"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkov", help="the program")
    arguments = parser.parse_args()
    exceptions = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        # It stumbles over conditions and sizes.
        template = Path(folder) / "template.json"
        template.write_text(json.dumps(resolved({})), encoding="utf-8")
        scan = subprocess.run(
            [arguments.checkov, "--framework", "cloudformation", "--skip-download", "--output", "json", "--file", str(template)],
            capture_output=True, text=True, check=False,
        )
    try:
        results = json.loads(scan.stdout)["results"]
    except (json.JSONDecodeError, KeyError, TypeError):
        print(f"scan: checkov gave no results: {scan.stderr or scan.stdout}", file=sys.stderr)
        return 1
    if results["parsing_errors"] or not results["passed_checks"]:
        print("scan: checkov could not read the template", file=sys.stderr)
        return 1
    found: dict[str, tuple[str, list[str]]] = {}
    for finding in results["failed_checks"]:
        _, resources = found.setdefault(finding["check_id"], (finding["check_name"], []))
        resources.append(finding["resource"].rpartition(".")[2])
    faults = [
        f"{check}, {name}: {', '.join(sorted(set(resources)))}; mend it, or say in {EXCEPTIONS.name} why not"
        for check, (name, resources) in sorted(found.items()) if check not in exceptions
    ]
    faults += [f"{EXCEPTIONS.name} has {check}, which is found nowhere any more" for check in sorted(exceptions.keys() - found.keys())]
    faults += [f"{EXCEPTIONS.name} has no reason for {check}" for check, reason in exceptions.items() if not reason]
    for fault in faults:
        print(f"scan: {fault}", file=sys.stderr)
    if not faults:
        print(f"template.yaml: {len(results['passed_checks'])} checks of checkov hold, {len(exceptions)} kinds of them are left so, with reasons")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
