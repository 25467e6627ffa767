#!/usr/bin/env python3
"""Deploys the SAM template to an emulator of AWS, as `sam deploy` does to AWS.

Puts the functions' zip files, the template and those that it nests into a bucket, creates the stack or updates it by a
change set, waits, and prints the stack's outputs as a JSON object. Everything else goes to standard
error. Exit code 1: it did not work, and why. Needs boto3 and aws-sam-translator.

Credentials and region come from the environment; without any, `test` and `us-east-1` are used.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.translator.transform import transform

import templates

CODE_URI = re.compile(r"(\.\./)*target/lambda/(?P<name>[a-z0-9-]+)/?")
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
POLL_SECONDS = 0.3
# Alarms on several metrics or alarms: ministack 1.5.33 refuses them.
LEFT_OUT = {"objectives.yaml"}


class Failure(Exception):
    """Something that the caller has to be told; the text is all there is to say."""


def main() -> int:
    arguments = parse_arguments()
    try:
        outputs = deploy(arguments)
    except (Failure, BotoCoreError, ClientError, OSError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    print(json.dumps(outputs, indent=2, sort_keys=True))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--endpoint", required=True, help="URL of the emulator, e.g. http://127.0.0.1:4566")
    parser.add_argument("--stack", default="iib", help="name of the stack (default: %(default)s)")
    parser.add_argument(
        "--template", type=Path, default=templates.TEMPLATE,
        help="the template (default: the project's)",
    )
    parser.add_argument(
        "--packages", type=Path, required=True, metavar="FOLDER",
        help="folder with <name>.zip for each CodeUri target/lambda/<name>/ of the templates",
    )
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="KEY=VALUE", type=parse_parameter,
        help="a parameter of the template, or of one that it nests; repeat it for more",
    )
    parser.add_argument(
        "--quiet", action="store_true",
        help="nothing calls the functions then: for suites that hand them events themselves",
    )
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS",
        help="how long to wait for the stack (default: %(default)s)",
    )
    return parser.parse_args()


def parse_parameter(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"`{text}` is not KEY=VALUE")
    return key, value


def deploy(arguments: argparse.Namespace) -> dict[str, str]:
    session = boto3.Session(
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
        region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
    )
    # An emulator has no host name for each bucket.
    settings = Config(s3={"addressing_style": "path"})
    s3 = session.client("s3", endpoint_url=arguments.endpoint, config=settings)
    cloudformation = session.client("cloudformation", endpoint_url=arguments.endpoint, config=settings)

    place = Place(s3, arguments.endpoint, f"{arguments.stack}-packages", arguments.packages)
    given = dict(arguments.parameter)
    url, passed = place.put(arguments.template, given)
    if unknown := given.keys() - passed:
        raise Failure(f"no template has a parameter {', '.join(sorted(unknown))}")
    own = templates.read(arguments.template).get("Parameters", {})
    deadline = time.monotonic() + arguments.timeout
    apply(cloudformation, arguments.stack, url, [(key, value) for key, value in given.items() if key in own], deadline)
    mend_mappings(session.client("lambda", endpoint_url=arguments.endpoint), cloudformation, arguments.stack)
    stack = describe(cloudformation, arguments.stack)
    if arguments.quiet:
        make_quiet(session, arguments.endpoint, arguments.stack, stack)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def make_quiet(session, endpoint: str, name: str, stack: dict) -> None:
    """Cuts the functions off from queues, bucket and schedule."""
    functions = session.client("lambda", endpoint_url=endpoint)
    for page in functions.get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            if f":{name}-" in mapping["FunctionArn"]:
                functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    s3 = session.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}))
    s3.put_bucket_notification_configuration(Bucket=outputs["BucketName"], NotificationConfiguration={})
    events = session.client("events", endpoint_url=endpoint)
    for rule in events.list_rules().get("Rules", []):
        if rule["Name"].startswith(f"{name}-"):
            events.disable_rule(Name=rule["Name"])


def make_bucket(s3, bucket: str) -> None:
    try:
        region = s3.meta.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass


class Place:
    """The bucket that a deployment comes from. Keys have the digests of their contents, so that a change of one is a change of
    the stack."""

    def __init__(self, s3, endpoint: str, bucket: str, packages: Path):
        self.s3, self.bucket, self.packages = s3, bucket, packages
        self.url = f"{endpoint.rstrip('/')}/{bucket}"
        make_bucket(s3, bucket)

    def put(self, path: Path, given: dict[str, str], is_nested: bool = False) -> tuple[str, set[str]]:
        """Uploads a template with all that it needs: where it is, and which of the parameters it or what it nests takes.

        What is given and is none of its own parameters stands with those of the nested template that has it, as it would if
        somebody had written it there.
        """
        template = templates.read(path)
        own = set(template.get("Parameters", {}))
        taken = given.keys() & own
        for name, file in templates.nested(template, path).items():
            if file.name in LEFT_OUT:
                del template["Resources"][name]
                continue
            properties = template["Resources"][name]["Properties"]
            inner = {key: value for key, value in given.items() if key not in own}
            properties["TemplateURL"], theirs = self.put(file, inner, is_nested=True)
            properties.setdefault("Parameters", {}).update({key: inner[key] for key in theirs})
            taken |= theirs
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = self.package(resource["Properties"]["CodeUri"])
        document = templates.as_json(template)
        # The emulator does so itself, but for nested ones.
        if is_nested and "Transform" in document:
            document = transform(document, {}, NoPolicies())
        # By URL: inline, a template may have 51,200 bytes only.
        return f"{self.url}/{self.upload(path.with_suffix('.json').name, json.dumps(document).encode())}", taken

    def package(self, uri: str) -> str:
        match = CODE_URI.fullmatch(uri)
        if not match:
            raise Failure(f"CodeUri {uri} is not target/lambda/<name>/")
        package = self.packages / f"{match['name']}.zip"
        if not package.is_file():
            raise Failure(f"{self.packages} has no {package.name}")
        return f"s3://{self.bucket}/{self.upload(package.name, package.read_bytes())}"

    def upload(self, name: str, content: bytes) -> str:
        key = f"{hashlib.sha256(content).hexdigest()[:16]}/{name}"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return key


class NoPolicies:
    """The managed policies that SAM knows by name: none is used."""

    def load(self) -> dict:
        return {}


def apply(cloudformation, stack: str, url: str, parameters: list[tuple[str, str]], deadline: float) -> None:
    """Creates or updates the stack and waits until that is done."""
    present = describe(cloudformation, stack)
    if present is not None and present["StackStatus"].startswith("ROLLBACK"):
        raise Failure(f"the stack {stack} was never created ({present['StackStatus']}); delete it first")
    exists = present is not None and present["StackStatus"] != "REVIEW_IN_PROGRESS"
    change_set = cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=f"deploy-{time.time_ns()}",
        ChangeSetType="UPDATE" if exists else "CREATE",
        TemplateURL=url,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters],
        Capabilities=CAPABILITIES,
    )["Id"]
    changes = wait_for(
        deadline, "the change set",
        lambda: cloudformation.describe_change_set(StackName=stack, ChangeSetName=change_set),
        lambda answer: not answer["Status"].endswith(("PENDING", "IN_PROGRESS")),
    )
    if changes["Status"] == "FAILED":
        reason = changes.get("StatusReason", "no reason given")
        cloudformation.delete_change_set(StackName=stack, ChangeSetName=change_set)
        if exists and ("didn't contain changes" in reason or "No updates" in reason):
            print(f"deploy: {stack} is as it should be", file=sys.stderr)
            return
        raise Failure(f"the change set of {stack} failed: {reason}")

    seen = {event["EventId"] for event in events(cloudformation, stack)} if exists else set()
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=change_set)
    done = wait_for(
        deadline, f"the stack {stack}",
        lambda: describe(cloudformation, stack),
        lambda answer: not answer["StackStatus"].endswith("IN_PROGRESS"),
    )
    if done["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise Failure(f"{stack}: {done['StackStatus']}{failures(cloudformation, stack, seen)}")
    print(f"deploy: {stack}: {done['StackStatus']}", file=sys.stderr)


def mend_mappings(functions, cloudformation, stack: str) -> None:
    """Sets the queues' concurrency once more, as numbers.

    ministack 1.5.33 keeps a number that comes from a parameter as text, and then takes no message
    from any queue ("ESM SQS poller error: '>=' not supported"). AWS converts it.
    """
    for resource in resources(cloudformation, stack):
        if resource["ResourceType"] != "AWS::Lambda::EventSourceMapping":
            continue
        mapping = functions.get_event_source_mapping(UUID=resource["PhysicalResourceId"])
        if most := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
            scaling = {"MaximumConcurrency": int(most)}
            functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=scaling)


def resources(cloudformation, stack: str) -> list[dict]:
    """The resources of a stack and of those that it nests."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    own = [resource for page in pages for resource in page["StackResourceSummaries"]]
    inner = [resource["PhysicalResourceId"] for resource in own if resource["ResourceType"] == templates.NESTED]
    return own + [resource for name in inner for resource in resources(cloudformation, name)]


def describe(cloudformation, stack: str) -> dict | None:
    """The stack, or nothing if there is none."""
    try:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


def wait_for(deadline: float, what: str, ask, is_done):
    while not is_done(answer := ask()):
        if time.monotonic() > deadline:
            raise Failure(f"{what} is not done in time")
        time.sleep(POLL_SECONDS)
    return answer


def events(cloudformation, stack: str) -> list[dict]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    return [event for page in pages for event in page["StackEvents"]]


def failures(cloudformation, stack: str, seen: set[str]) -> str:
    """What failed, first things first; events of earlier deployments do not count."""
    failed = [
        f"\n  {event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
        for event in reversed(events(cloudformation, stack))
        if event["EventId"] not in seen and event["ResourceStatus"].endswith("_FAILED")
    ]
    return "".join(failed)


if __name__ == "__main__":
    sys.exit(main())
