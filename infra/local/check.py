#!/usr/bin/env python3
"""Checks of template.yaml that no linter knows. Exit code 1, and every fault on a line, if there
are any."""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


class Loader(yaml.SafeLoader):
    """Reads a template; what CloudFormation would fill in is `{tag: value}`."""


def intrinsic(loader: Loader, tag: str, node):
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    return {tag: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", intrinsic)


def read_template() -> dict:
    return yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), Loader)


def main() -> int:
    template = read_template()
    faults = values_that_go_together(template["Parameters"])
    faults += alarms_without_advice(template["Resources"])
    faults += functions_without_binary(template["Resources"])
    for fault in faults:
        print(f"check: {fault}", file=sys.stderr)
    if not faults:
        print("template.yaml: values, alarms and functions are sound")
    return 1 if faults else 0


def values_that_go_together(parameters: dict) -> list[str]:
    default = {name: parameter.get("Default") for name, parameter in parameters.items()}
    stage, function = default["StageTimeoutSeconds"], default["FunctionTimeoutSeconds"]
    storage = default["EphemeralStorageMegabytes"] * MIB
    rules = [
        # A stage ends itself and says why, before the platform ends it.
        (stage + 20 <= function, "FunctionTimeoutSeconds is less than 20 seconds above StageTimeoutSeconds"),
        (function <= 900, "FunctionTimeoutSeconds is above the platform's 15 minutes"),
        # AWS's advice for queues that call functions.
        (6 * function <= default["QueueVisibilitySeconds"], "QueueVisibilitySeconds is below six times FunctionTimeoutSeconds"),
        (default["QueueVisibilitySeconds"] + stage < default["QueueAgeAlarmSeconds"], "QueueAgeAlarmSeconds fires for one lost function"),
        (default["DurationAlarmMilliseconds"] < 1000 * stage, "DurationAlarmMilliseconds is above what a stage may take"),
        # The compressed layer, the database and its journal are there at once.
        (default["MaxIndexBytes"] <= 0.4 * storage, "MaxIndexBytes is above 0.4 of EphemeralStorageMegabytes"),
        (default["DataDaysToLive"] + 30 <= default["KeptObjectDays"], "KeptObjectDays is below DataDaysToLive + 30"),
    ]
    return [fault for holds, fault in rules if not holds]


def alarms_without_advice(resources: dict) -> list[str]:
    runbook = (ROOT / "docs" / "RUNBOOK.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    known = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    known |= set(re.findall(r'<a id="([^"]+)">', runbook))
    faults = []
    for name, resource in resources.items():
        if resource["Type"] != "AWS::CloudWatch::Alarm":
            continue
        match = re.match(r"RUNBOOK: ([a-z0-9-]+)", str(resource["Properties"].get("AlarmDescription", "")))
        if not match:
            faults.append(f"the alarm {name} names no entry of the runbook")
        elif match[1] not in known:
            faults.append(f"docs/RUNBOOK.md has no entry {match[1]}, which the alarm {name} names")
    return faults


def functions_without_binary(resources: dict) -> list[str]:
    build = (ROOT / "infra" / "build").read_text(encoding="utf-8")
    built = set(re.search(r"functions=\(([^)]*)\)", build)[1].split())
    named = {
        resource["Properties"]["CodeUri"].removeprefix("target/lambda/").rstrip("/")
        for resource in resources.values() if resource["Type"] == "AWS::Serverless::Function"
    }
    return [f"infra/build and template.yaml differ: {', '.join(sorted(named ^ built))}"] if named != built else []


if __name__ == "__main__":
    sys.exit(main())
