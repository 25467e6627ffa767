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

from resolved import resolved
from templates import ROOT, TEMPLATE

FRONT = ROOT / "infra" / "front.yaml"
EXCEPTIONS = ROOT / "infra" / "exceptions.yaml"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:iib"
TOPIC = "arn:aws:sns:eu-central-1:111122223333:iib"
REPOSITORY = "arn:aws:ecr:eu-central-1:111122223333:repository/team/*"
# Ways to deploy it that have every resource and every right between them.
DEPLOYED: list[dict[str, str]] = [
    {},
    {"ApiAccess": "open"},
    {
        "Size": "huge", "Registry": "registry.example.com", "ReadAccess": "open", "RegistryAuthSecretArn": SECRET,
        "GitTokensSecretArn": SECRET, "MessagingSecretArn": SECRET, "NotificationTopicArn": TOPIC, "AlarmTopicArn": TOPIC, "UrgentAlarmTopicArn": TOPIC,
        "EcrReadRepositories": REPOSITORY, "EcrOverwriteRepositories": REPOSITORY, "EcrCreateRepositories": "true",
        "InboxWriters": "arn:aws:iam::111122223333:role/team",
        "SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1", "CaLayerArn": "arn:aws:lambda:eu-central-1:111122223333:layer:ca:1",
        "HttpsProxy": "http://proxy.example.com:3128", "NoProxy": ".internal.example.com",
        "DomainName": "iib.example.com", "DomainCertificateArn": "arn:aws:acm:eu-central-1:111122223333:certificate/iib",
    },
]
FRONTS: list[dict[str, str]] = [{"Service": "iib"}, {"Service": "iib", "NeedsKeys": "true", "VpcEndpointIds": "vpce-1", "LogsCalls": "true"}]


class Unread(Exception):
    """Nothing is known of the template; the text says why."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkov", help="the program")
    arguments = parser.parse_args()
    exceptions = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    holding: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], str] = {}
    for path, given in [*((TEMPLATE, given) for given in DEPLOYED), *((FRONT, given) for given in FRONTS)]:
        try:
            passed, failed = scan(arguments.checkov, resolved(given, path))
        except Unread as error:
            print(f"scan: {error}", file=sys.stderr)
            return 1
        holding |= passed
        found |= failed
    left = {(check, resource) for check, exception in exceptions.items() for resource in exception["resources"]}
    faults = [
        f"{resource}: {check}, {name}; mend it, or say in {EXCEPTIONS.name} why not"
        for (check, resource), name in sorted(found.items()) if (check, resource) not in left
    ]
    faults += [f"{EXCEPTIONS.name} has {check} of {resource}, which is not found any more" for check, resource in sorted(left - found.keys())]
    faults += [f"{EXCEPTIONS.name} has no reason for {check}" for check, exception in exceptions.items() if not exception.get("reason")]
    for fault in faults:
        print(f"scan: {fault}", file=sys.stderr)
    if not faults:
        print(f"template.yaml: {len(holding)} checks of checkov hold, {len(left)} are left so, for {len(exceptions)} reasons")
    return 1 if faults else 0


def scan(checkov: str, template: dict) -> tuple[set[tuple[str, str]], dict[tuple[str, str], str]]:
    """Which checks hold, by check and resource, and which do not, with their names."""
    with tempfile.TemporaryDirectory() as folder:
        # It stumbles over conditions and sizes.
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(template), encoding="utf-8")
        done = subprocess.run(
            [checkov, "--framework", "cloudformation", "--skip-download", "--output", "json", "--file", str(path)],
            capture_output=True, text=True, check=False,
        )
    try:
        results = json.loads(done.stdout)["results"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise Unread(f"checkov gave no results: {done.stderr or done.stdout}") from None
    if results["parsing_errors"] or not results["passed_checks"]:
        raise Unread("checkov could not read the template")

    def key(finding: dict) -> tuple[str, str]:
        return finding["check_id"], finding["resource"].rpartition(".")[2]

    return {key(finding) for finding in results["passed_checks"]}, {key(finding): finding["check_name"] for finding in results["failed_checks"]}


if __name__ == "__main__":
    sys.exit(main())
