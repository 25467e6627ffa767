#!/usr/bin/env python3
"""Makes a stack of stores of what a single stack leaves behind (`infra/adopt`, docs/UPGRADE.md). Exit code 1: it did not work, and
why; what is done stays done, and is passed over when it is called again. Needs boto3 and PyYAML."""

import argparse
import json
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

import templates
from deploy import Failure, describe, failures, wait_for

STORES = templates.ROOT / "infra" / "stores.yaml"
# What names each of them to CloudFormation. Policies and the topic are made anew: nothing is in them.
IDENTIFIERS = {"Table": "TableName", "Bucket": "BucketName", "SecretKey": "KeyId", "Results": "RepositoryName"}
NEEDED = {"Table", "Bucket", "SecretKey"}
# Of these CloudFormation would take what the template says for what is so, and never change it. The update sets them.
LATER = {"Table": ["DeletionProtectionEnabled"], "Bucket": ["VersioningConfiguration", "LifecycleConfiguration", "NotificationConfiguration"]}
PATIENCE = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stack", help="the single stack")
    parser.add_argument("stores", help="the stack of stores that is made")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    try:
        adopt(arguments)
    except (Failure, BotoCoreError, ClientError, OSError) as error:
        print(f"adopt: {error}", file=sys.stderr)
        return 1
    return 0


def adopt(arguments: argparse.Namespace) -> None:
    cloudformation = boto3.client("cloudformation")
    notes = templates.ROOT / "target" / f"adopt-{arguments.stack}.json"
    if describe(cloudformation, arguments.stack) is not None:
        found = look(cloudformation, arguments.stack)
        notes.parent.mkdir(exist_ok=True)
        notes.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        told = ", ".join(f"{name} {value}" for name, value in found["resources"].items())
        print(f"these stay: {told}\n(also in {notes})")
        if not arguments.yes and input(f"Delete the stack {arguments.stack}? Requests wait until the next one is deployed. [y/N] ") != "y":
            raise Failure("nothing was changed")
        delete(cloudformation, arguments.stack)
    elif notes.exists():
        found = json.loads(notes.read_text(encoding="utf-8"))
    else:
        raise Failure(f"there is no stack {arguments.stack}")
    restore_key(found["resources"]["SecretKey"])
    stores = describe(cloudformation, arguments.stores)
    if stores is None or stores["StackStatus"] == "REVIEW_IN_PROGRESS":
        take(cloudformation, arguments.stores, found)
    settle(cloudformation, arguments.stores, found["parameters"])
    print(f"{arguments.stores} has the stores; deploy the service with StoresStack={arguments.stores}")


def look(cloudformation, stack: str) -> dict:
    """What the stack has that stays, and what it was told of it."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    described = [resource for page in pages for resource in page["StackResourceSummaries"]]
    resources = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in described if each["LogicalResourceId"] in IDENTIFIERS}
    if missing := NEEDED - resources.keys():
        raise Failure(f"{stack} has no {', '.join(sorted(missing))}: it is no single stack of this service")
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = templates.parse(template)
    # Deleting the stack would delete them. The key can be restored.
    kept = {name for name in resources if str(template["Resources"][name].get("DeletionPolicy")).startswith("Retain")}
    if lost := resources.keys() - kept - {"SecretKey"}:
        raise Failure(f"{stack} would take {', '.join(sorted(lost))} with it")
    own = templates.read(STORES)["Parameters"]
    told = describe(cloudformation, stack).get("Parameters", [])
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in told if each["ParameterKey"] in own}
    return {"resources": resources, "parameters": parameters | {"Name": stack, "FormerTable": resources["Table"]}}


def delete(cloudformation, stack: str) -> None:
    # By its id: of a name nothing is known once it is gone.
    identity = describe(cloudformation, stack)["StackId"]
    cloudformation.delete_stack(StackName=identity)
    done = wait_for(
        time.monotonic() + PATIENCE, f"the deletion of {stack}",
        lambda: describe(cloudformation, identity) or {"StackStatus": "DELETE_COMPLETE"},
        lambda answer: not answer["StackStatus"].endswith("IN_PROGRESS"),
    )
    if done["StackStatus"] != "DELETE_COMPLETE":
        raise Failure(f"{stack}: {done['StackStatus']}{failures(cloudformation, identity, set())}")
    print(f"{stack} is deleted")


def restore_key(key: str) -> None:
    kms = boto3.client("kms")
    if kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion":
        kms.cancel_key_deletion(KeyId=key)
        kms.enable_key(KeyId=key)
        print(f"the key {key} is not deleted any more")


def take(cloudformation, stores: str, found: dict) -> None:
    """Imports what is there, changing nothing of it."""
    template = templates.read(STORES)
    resources = {name: resource for name, resource in template["Resources"].items() if name in found["resources"]}
    for name, resource in resources.items():
        for key in LATER.get(name, []):
            resource["Properties"].pop(key)
        resource.pop("DependsOn", None)
        resource.pop("Condition", None)
    # An import may bring no outputs.
    part = {key: content for key, content in template.items() if key != "Outputs"} | {"Resources": resources}
    change_set = cloudformation.create_change_set(
        StackName=stores, ChangeSetName=f"adopt-{time.time_ns()}", ChangeSetType="IMPORT",
        TemplateBody=json.dumps(templates.as_json(part)), Parameters=passed(found["parameters"]),
        ResourcesToImport=[
            {"ResourceType": resource["Type"], "LogicalResourceId": name, "ResourceIdentifier": {IDENTIFIERS[name]: found["resources"][name]}}
            for name, resource in resources.items()
        ],
    )["Id"]
    deadline = time.monotonic() + PATIENCE
    looked = wait_for(
        deadline, "the change set",
        lambda: cloudformation.describe_change_set(StackName=stores, ChangeSetName=change_set),
        lambda answer: not answer["Status"].endswith(("PENDING", "IN_PROGRESS")),
    )
    if looked["Status"] == "FAILED":
        raise Failure(f"the import into {stores} failed: {looked.get('StatusReason', 'no reason given')}")
    cloudformation.execute_change_set(StackName=stores, ChangeSetName=change_set)
    await_stack(cloudformation, stores, "IMPORT_COMPLETE", deadline)


def settle(cloudformation, stores: str, parameters: dict[str, str]) -> None:
    """Gives what was imported what the template says, and makes what is lacking."""
    body = json.dumps(templates.as_json(templates.read(STORES)))
    try:
        cloudformation.update_stack(StackName=stores, TemplateBody=body, Parameters=passed(parameters))
    except ClientError as error:
        if "No updates" not in error.response["Error"]["Message"]:
            raise
        return
    await_stack(cloudformation, stores, "UPDATE_COMPLETE", time.monotonic() + PATIENCE)


def passed(parameters: dict[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def await_stack(cloudformation, stack: str, wanted: str, deadline: float) -> None:
    done = wait_for(
        deadline, stack, lambda: describe(cloudformation, stack), lambda answer: not answer["StackStatus"].endswith("IN_PROGRESS"),
    )
    if done["StackStatus"] != wanted:
        raise Failure(f"{stack}: {done['StackStatus']}{failures(cloudformation, stack, set())}")
    print(f"{stack}: {wanted}")


if __name__ == "__main__":
    sys.exit(main())
