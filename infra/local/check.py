#!/usr/bin/env python3
"""Checks of template.yaml and what it nests that no linter knows. Exit code 1, and every fault on a line, if there
are any."""

import re
import sys

from templates import ROOT, read, read_template

MIB = 1024 * 1024
QUEUES = ("Pin", "Mutate", "Push", "DeadLetter")
# Functions that an account of AWS may run at once before anybody has asked for more, and their memory.
NEW_ACCOUNT, NEW_ACCOUNT_MEGABYTES = 10, 3008
# Of a new account for the API, prune, telling and files.
OTHERS = 2
# Seconds that the platform gives a function at most, and that a stage needs to end itself.
LONGEST_FUNCTION, ENDING = 900, 20
# Of /tmp an index may have so much: the compressed layer, the database and its journal are there at once.
OF_DISK = 0.4


def read_sizes(template: dict) -> dict[str, dict[str, int]]:
    """What each size sets."""
    return {name: {key: int(value) for key, value in size.items()} for name, size in template["Mappings"]["Sizes"].items()}


def main() -> int:
    template = read_template()
    faults = values_that_go_together(template)
    faults += alarms_without_advice(template["Resources"])
    faults += functions_without_binary(template["Resources"])
    faults += [
        f"the queue {name} is not encrypted (SqsManagedSseEnabled)" for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::SQS::Queue" and resource["Properties"].get("SqsManagedSseEnabled") is not True
    ]
    faults += rights_on_the_table(template["Resources"])
    faults += names_of_nothing(template["Resources"])
    faults += settings_that_make_no_version(read(ROOT / "infra" / "service.yaml"))
    for fault in faults:
        print(f"check: {fault}", file=sys.stderr)
    if not faults:
        print("template.yaml: values, alarms, functions and rights on the table are sound")
    return 1 if faults else 0


def values_that_go_together(template: dict) -> list[str]:
    default = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    sizes = read_sizes(template)
    faults = []
    if default["Size"] not in sizes or set(template["Parameters"]["Size"]["AllowedValues"]) != set(sizes):
        faults.append("the parameter Size and the mapping Sizes differ")
    for name, size in sizes.items():
        if set(size) != set(sizes["small"]):
            faults.append(f"size {name} sets other things than small: {', '.join(set(size) ^ set(sizes['small']))}")
            continue
        stage, function = size["StageSeconds"], size["FunctionSeconds"]
        rules = [
            # A stage ends itself and says why, before the platform ends it.
            (stage + ENDING <= function, f"FunctionSeconds is less than {ENDING} above StageSeconds"),
            (function <= LONGEST_FUNCTION, "FunctionSeconds is above the platform's 15 minutes"),
            # AWS's advice for queues that call functions.
            (6 * function <= size["QueueVisibilitySeconds"], "QueueVisibilitySeconds is below six times FunctionSeconds"),
            (size["QueueVisibilitySeconds"] + stage < size["QueueAgeAlarmSeconds"], "QueueAgeAlarmSeconds fires for one lost function"),
            (size["QueueAgeAlarmSeconds"] < size["OldestRequestAlarmSeconds"], "OldestRequestAlarmSeconds fires before QueueAgeAlarmSeconds"),
            (size["RequestObjectiveSeconds"] < size["QueueAgeAlarmSeconds"], "RequestObjectiveSeconds is no promise: a queue may be behind for so long"),
            (size["DurationAlarmMilliseconds"] == 900 * stage, "DurationAlarmMilliseconds is not 90 % of StageSeconds"),
            (size["MaxIndexBytes"] <= OF_DISK * size["DiskMegabytes"] * MIB, f"MaxIndexBytes is above {OF_DISK} of DiskMegabytes"),
            (512 <= size["DiskMegabytes"] <= 10240, "the platform has no such DiskMegabytes"),
            (128 <= size["MutateMegabytes"] <= 10240, "the platform has no such MutateMegabytes"),
            # What AWS asks of the concurrency of a queue, and of the batches of a function.
            (min(size[f"{queue}Concurrency"] for queue in QUEUES) >= 2, "a queue's concurrency is below 2"),
            (size["ApiRate"] <= size["ApiBurst"], "ApiBurst is below ApiRate"),
        ]
        faults += [f"size {name}: {fault}" for holds, fault in rules if not holds]
    small = sizes["small"]
    # Dead letters are few, and come when the stages are done with them. Of those who wait two windows overlap.
    stages = sum(small[f"{queue}Concurrency"] for queue in QUEUES if queue != "DeadLetter")
    if stages + 2 * small["MaxWaiting"] + OTHERS > NEW_ACCOUNT:
        faults.append(f"size small: stages and those who wait take more than an account with {NEW_ACCOUNT} functions at once can give")
    if small["MutateMegabytes"] > NEW_ACCOUNT_MEGABYTES:
        faults.append(f"size small: a new account gives a function {NEW_ACCOUNT_MEGABYTES} MB at most")
    if default["DataDaysToLive"] + 30 > default["KeptObjectDays"]:
        faults.append("KeptObjectDays is below DataDaysToLive + 30")
    faults += [f"the parameter {name} has no default" for name, value in default.items() if value is None]
    return faults


def alarms_without_advice(resources: dict) -> list[str]:
    runbook = (ROOT / "docs" / "RUNBOOK.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    known = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    known |= set(re.findall(r'<a id="([^"]+)">', runbook))
    faults = []
    for name, resource in resources.items():
        if resource["Type"] not in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
            continue
        match = re.match(r"RUNBOOK: ([a-z0-9-]+)", str(resource["Properties"].get("AlarmDescription", "")))
        if not match:
            faults.append(f"the alarm {name} names no entry of the runbook")
        elif match[1] not in known:
            faults.append(f"docs/RUNBOOK.md has no entry {match[1]}, which the alarm {name} names")
    return faults


def names_of_nothing(resources: dict) -> list[str]:
    """What alarms and the dashboard call by a name that no function and no queue has: infra/watch.yaml makes names up."""
    named = {
        str(name) for resource in resources.values()
        for name in (resource.get("Properties", {}).get(key) for key in ("FunctionName", "QueueName")) if isinstance(name, dict)
    }
    watch = {name: resource for name, resource in resources.items() if resource["Type"].startswith("AWS::CloudWatch::")}
    faults = []
    for name, resource in watch.items():
        text = str({key: value for key, value in resource["Properties"].items() if key != "AlarmName"})
        found = set(re.findall(r"\$\{AWS::StackName\}-[a-z-]+", text))
        faults += [f"{name} is about {one}, which there is not" for one in sorted(found) if str({"Sub": one}) not in named]
    return faults


def settings_that_make_no_version(service: dict) -> list[str]:
    """What the API calls is a version of intake, and a new one is published where the number of `Settings` is another one."""
    intake = service["Resources"]["IntakeFunction"]["Properties"]
    variables = service["Globals"]["Function"]["Environment"]["Variables"] | intake["Environment"]["Variables"]
    variables |= {key: str(intake[key]) for key in ("MemorySize", "Timeout")}
    _, listed = service["Resources"]["Settings"]["Properties"]["Content"]["Join"]
    faults = []
    for name, value in variables.items():
        # One that may be left away is listed in any case.
        if isinstance(value, dict) and value.get("If", [])[2:] == [{"Ref": "AWS::NoValue"}]:
            value = value["If"][1]
        if value not in listed:
            faults.append(f"infra/service.yaml: {name} of intake is not in Settings, so a change of it would reach nobody")
    return faults


def functions_without_binary(resources: dict) -> list[str]:
    build = (ROOT / "infra" / "build").read_text(encoding="utf-8")
    built = set(re.search(r"functions=\(([^)]*)\)", build)[1].split())
    named = {
        resource["Properties"]["CodeUri"].rstrip("/").rpartition("target/lambda/")[2]
        for resource in resources.values() if resource["Type"] == "AWS::Serverless::Function"
    }
    return [f"infra/build and template.yaml differ: {', '.join(sorted(named ^ built))}"] if named != built else []


def statements(value) -> list[dict]:
    """The statements of all policies in it."""
    if isinstance(value, list):
        return [statement for one in value for statement in statements(one)]
    if not isinstance(value, dict):
        return []
    if "Effect" in value:
        return [value]
    return [statement for one in value.values() for statement in statements(one)]


def kinds_granted(statement: dict) -> set[str]:
    """The kinds of partition keys, and the indexes of the table, that a statement is about."""
    resource = statement.get("Resource")
    if resource == {"GetAtt": "Table.Arn"}:
        keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
        return {key.removesuffix("*") for key in ([keys] if isinstance(keys, str) else keys)}
    index = re.fullmatch(r"\$\{Table\.Arn\}/(index/.+)", str((resource or {}).get("Sub"))) if isinstance(resource, dict) else None
    return {index[1]} if index else set()


def rights_on_the_table(resources: dict) -> list[str]:
    """Each right on the table is one on kinds of keys, and the kinds are those that the code has."""
    faults, granted = [], set()
    for statement in statements(resources):
        if statement.get("Resource") != {"GetAtt": "Table.Arn"}:
            continue
        actions = statement["Action"]
        kinds = kinds_granted(statement)
        # They name no key, and a condition on all keys holds where there is none.
        unkeyed = {"dynamodb:Scan", "dynamodb:*"} | {action for action in actions if "PartiQL" in action}
        if not kinds or unkeyed & set([actions] if isinstance(actions, str) else actions):
            faults.append(f"rights on the table without keys: {actions}")
        granted |= kinds
    code = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "shared/adapters/aws/src").rglob("*.rs")))
    code = re.sub(r"#\[cfg\(test\)\]\nmod tests \{.*?\n\}", "", code, flags=re.DOTALL)
    # Of sort keys, those that are no partition key besides.
    used = set(re.findall(r'format!\(\s*"([A-Z]+#)', code)) | set(re.findall(r'\bkey\("([A-Z]+)"', code)) | set(re.findall(r'const IMAGES: &str = "([A-Z]+)"', code))
    faults += [f"no role may read or write items {kind}" for kind in sorted(used - granted)]
    faults += [f"roles are granted items {kind}, of which the code knows nothing" for kind in sorted(granted - used)]
    return faults


if __name__ == "__main__":
    sys.exit(main())
