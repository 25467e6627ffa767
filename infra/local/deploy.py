#!/usr/bin/env python3
"""Deploys the SAM template to an emulator of AWS, as `sam deploy` does to AWS.

Puts the functions' zip files and the templates into a bucket, creates the stacks or updates them by change sets,
waits, and prints the stack's outputs as a JSON object. Everything else goes to standard error. Exit code 1: it did not work,
and why. Needs boto3 and aws-sam-translator.

What a template nests is a stack of its own here, `iib-Watch`, before the outer one, which gets its outputs as values: when
ministack 1.5.33 updates a nested stack, resources that stay as they are lose their attributes.

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

import templates
from package import zipped
from resolved import Resolver

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
        help="folder with <name>.zip or <name>/bootstrap for each CodeUri target/lambda/<name>/ of the templates",
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

    deployment = Deployment(s3, cloudformation, arguments)
    given = dict(arguments.parameter)
    if unknown := given.keys() - deployment.deploy_all(arguments.stack, arguments.template, given):
        raise Failure(f"no template has a parameter {', '.join(sorted(unknown))}")
    mend_mappings(session.client("lambda", endpoint_url=arguments.endpoint), arguments.stack)
    stack = describe(cloudformation, arguments.stack)
    if arguments.quiet:
        make_quiet(session, arguments.endpoint, arguments.stack, stack)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def make_quiet(session, endpoint: str, name: str, stack: dict) -> None:
    """Cuts the functions off from queues, bucket and schedule."""
    functions = session.client("lambda", endpoint_url=endpoint)
    for mapping in mappings(functions, name):
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


class Deployment:
    """What goes from here to the emulator, by a bucket. Keys have the digests of their contents, so that a change of one is a
    change of the stack."""

    def __init__(self, s3, cloudformation, arguments: argparse.Namespace):
        self.s3, self.cloudformation = s3, cloudformation
        self.bucket, self.packages = f"{arguments.stack}-packages", arguments.packages
        self.url = f"{arguments.endpoint.rstrip('/')}/{self.bucket}"
        self.deadline = time.monotonic() + arguments.timeout
        make_bucket(s3, self.bucket)

    def deploy_all(self, stack: str, path: Path, given: dict[str, str]) -> set[str]:
        """Deploys what a template nests, and then the template; tells which of the parameters one of them has.

        What is given and is none of its own parameters goes to the nested template that has it, as it would if somebody had written
        it there.
        """
        template = templates.read(path)
        own = set(template.get("Parameters", {}))
        resolver = Resolver(template, {key: value for key, value in given.items() if key in own})
        passed, outputs, absent = given.keys() & own, {}, set()

        def known(name: str):
            return outputs.get(name, "" if name.split(".")[0] in absent else None)

        parts = templates.nested(template, path)
        resources = {name: template["Resources"].pop(name) for name in parts}
        of_its_own = {key: value for key, value in given.items() if key in own}
        for name, file in parts.items():
            resource = resources[name]
            if file.name in LEFT_OUT:
                continue
            inner = {key: value for key, value in given.items() if key not in own}
            has = set(templates.read(file).get("Parameters", {}))
            passed |= inner.keys() & has
            if "Condition" in resource and not resolver.holds(resource["Condition"]):
                absent.add(name)
                continue
            # What must be there first, if it is not: without outputs, of which some are those of this part.
            if resource.get("DependsOn") in template["Resources"] and describe(self.cloudformation, stack) is None:
                first = {key: value for key, value in template.items() if key != "Outputs"}
                self.deploy(stack, templates.replaced(first, known), of_its_own)
            # What it takes something from is nested before it.
            settled = templates.replaced(resource["Properties"].get("Parameters", {}), known)
            handed = resolver.of(templates.replaced(settled, (resolver.values | {"AWS::StackName": stack}).get))
            handed = {key: self.exported(value) for key, value in handed.items()}
            # The stack's name has the outer one's: it finds its parts by that.
            self.deploy_all(f"{stack}-{name}", file, handed | {key: value for key, value in inner.items() if key in has})
            made = describe(self.cloudformation, f"{stack}-{name}")["Outputs"]
            outputs |= {f"{name}.Outputs.{output['OutputKey']}": output["OutputValue"] for output in made}
        self.deploy(stack, templates.replaced(template, known), of_its_own)
        return passed

    def exported(self, value):
        """What a parameter comes to, which may be what another stack exports."""
        if not isinstance(value, dict):
            return str(value)
        (function, name), = value.items()
        name = name["Fn::Sub"] if isinstance(name, dict) else name
        pages = self.cloudformation.get_paginator("list_exports").paginate()
        exports = {export["Name"]: export["Value"] for page in pages for export in page["Exports"]}
        if function != "Fn::ImportValue" or name not in exports:
            raise Failure(f"there is no export {name}")
        return exports[name]

    def deploy(self, stack: str, template: dict, given: dict[str, str]) -> None:
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = self.package(resource["Properties"]["CodeUri"])
        document = templates.as_json(template)
        if "Transform" in document:
            # Not above: infra/adopt takes something from here, and has no SAM.
            from samtranslator.translator.transform import transform

            # As AWS does it, with the values of the parameters; the emulator's own transform does not know them.
            document = transform(document, given, NoPolicies())
        # By URL: inline, a template may have 51,200 bytes only.
        key = self.upload(f"{stack}.json", json.dumps(document).encode())
        apply(self.cloudformation, stack, f"{self.url}/{key}", list(given.items()), self.deadline)

    def package(self, uri: str) -> str:
        match = CODE_URI.fullmatch(uri)
        if not match:
            raise Failure(f"CodeUri {uri} is not target/lambda/<name>/")
        package, binary = self.packages / f"{match['name']}.zip", self.packages / match["name"] / "bootstrap"
        if not package.is_file() and not binary.is_file():
            raise Failure(f"{self.packages} has no {package.name}")
        content = package.read_bytes() if package.is_file() else zipped(binary.read_bytes(), level=1)
        return f"s3://{self.bucket}/{self.upload(package.name, content)}"

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
    wanted = {
        "StackName": stack,
        "TemplateURL": url,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters],
        "Capabilities": CAPABILITIES,
    }
    change_set = cloudformation.create_change_set(
        ChangeSetName=f"deploy-{time.time_ns()}", ChangeSetType="UPDATE" if exists else "CREATE", **wanted,
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
            refresh(cloudformation, stack, wanted, deadline)
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


def refresh(cloudformation, stack: str, wanted: dict, deadline: float) -> None:
    """Updates a stack none of whose resources change: its outputs may, which ministack passes over in a change set."""
    try:
        cloudformation.update_stack(**wanted)
    except ClientError as error:
        if "No updates" not in error.response["Error"]["Message"]:
            raise
        print(f"deploy: {stack} is as it should be", file=sys.stderr)
        return
    done = wait_for(
        deadline, f"the stack {stack}",
        lambda: describe(cloudformation, stack),
        lambda answer: not answer["StackStatus"].endswith("IN_PROGRESS"),
    )
    if done["StackStatus"] != "UPDATE_COMPLETE":
        raise Failure(f"{stack}: {done['StackStatus']}")


def mend_mappings(functions, stack: str) -> None:
    """Sets the queues' concurrency once more, as numbers.

    ministack 1.5.33 keeps a number that comes from a parameter as text, and then takes no message
    from any queue ("ESM SQS poller error: '>=' not supported"). AWS converts it.
    """
    for mapping in mappings(functions, stack):
        if most := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
            scaling = {"MaximumConcurrency": int(most)}
            functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=scaling)


def mappings(functions, stack: str) -> list[dict]:
    """Whence the functions of a stack are called."""
    pages = functions.get_paginator("list_event_source_mappings").paginate()
    return [mapping for page in pages for mapping in page["EventSourceMappings"] if f":{stack}-" in mapping["FunctionArn"]]


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
