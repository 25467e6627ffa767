#!/usr/bin/env python3
"""Calculates what the service costs on AWS, from counted calls, measured times, the template and list prices.

Prints Markdown: the calls of one request, the cost of one request, of a month at some volumes, by service, and of private
networks. figures.py puts the same tables into docs/COST.md, which says what the model leaves out. Memory, schedules, queues
and alarms are those of template.yaml; the counts and times are in infra/local/measured.json:

  about   what one request is
  source  where the times come from: `estimate`, or what measured them
  counts  where the counts come from
  parts   name -> what happens for each request, at each run of a schedule, or for each message of the sweep:
    per                request | schedule | message
    times              how often (default 1; a schedule's are the template's)
    function           whose time it is; with milliseconds (billed, warm), cores (that were busy when it was measured, where
                       that is what takes the time), init_milliseconds (billed when cold) and invocations (default 1)
    api_calls, read_units, write_units, s3_puts (PUT, LIST, parts), s3_gets, sqs_calls, kms_calls,
    bus_events, log_bytes          of each time (default 0)
    source             where the figures come from
  stored  bytes that one request leaves: table_bytes (for ever), bucket_bytes (for DataDaysToLive),
          registry_bytes for --registry-days
  sweep   milliseconds that prune takes for a page of live requests, without and with messages for them

Exit code 1: the figures cannot be used, and why.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field

import values
from resolved import resolved
from values import FIGURES, Failure

# List prices of us-east-1 in US dollars, as they were known in the middle of 2025, without free
# tiers, discounts and taxes. Nothing checks them: compare them with AWS's price pages before a
# decision hangs on them.
PRICES_AS_OF = "mid 2025"
REGION = "us-east-1"
MILLION = 1_000_000
GIGABYTE = 1_000_000_000
LAMBDA_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}  # one GiB of memory for a second
LAMBDA_INVOCATION = 0.20 / MILLION
LAMBDA_DISK_SECOND = 0.0000000309  # one GiB of /tmp for a second, beyond the first half
API_CALL = 1.00 / MILLION  # HTTP API
WRITE_UNIT = 0.625 / MILLION  # on-demand
READ_UNIT = 0.125 / MILLION
TABLE_MONTH = 0.25 / GIGABYTE
BACKUP_MONTH = 0.20 / GIGABYTE  # point-in-time recovery
S3_PUT = 0.005 / 1000  # PUT, POST, LIST; DELETE is free
S3_GET = 0.0004 / 1000
S3_MONTH = 0.023 / GIGABYTE
SQS_CALL = 0.40 / MILLION
KMS_CALL = 0.03 / 10_000
KMS_KEY_MONTH = 1.00
BUS_EVENT = 1.00 / MILLION  # EventBridge, for each 64 KB of an event
LOG_BYTE = 0.50 / GIGABYTE
LOG_MONTH = 0.03 / GIGABYTE
ALARM_MONTH = 0.10  # for each metric that it looks at, at most once a minute
COMPOSITE_MONTH = 0.50
METRIC_MONTH = 0.30
DASHBOARD_MONTH = 3.00
REGISTRY_MONTH = 0.10 / GIGABYTE  # ECR

NAT_HOUR = 0.045
NAT_BYTE = 0.045 / GIGABYTE
ENDPOINT_HOUR = 0.01  # an interface endpoint in one availability zone
ENDPOINT_BYTE = 0.01 / GIGABYTE

# What AWS does by itself: Lambda keeps pollers at a queue, each with a call that waits so long; DynamoDB asks for the key of the
# table once in so many minutes for each role; the first megabytes of /tmp are free; reading that finds nothing takes half a unit.
POLLERS, POLL_SECONDS = 5, 20
KEY_MINUTES = 5
FREE_DISK_MEGABYTES = 512
EMPTY_QUERY = 0.5
# Endpoints of S3 and DynamoDB are gateways, and free; Lambda takes logs out of a function without its network.
NO_ENDPOINT = {"s3", "dynamodb", "logs"}
# ECR has one for its own calls and one for those of registries.
ENDPOINTS = {"ecr": ["ecr.api", "ecr.dkr"]}
# A part of a layer goes to ECR's own calls in base64.
BASE64 = 4 / 3

ARCHITECTURE = values.TEMPLATE["Parameters"]["Architecture"]["Default"]
DAYS = 30
MINUTES = DAYS * 24 * 60
# Requests a day, and the share of invocations that begin cold at such a rate: a guess.
VOLUMES = {10: 1.0, 1_000: 0.3, 100_000: 0.02}

SERVICES = [
    "Lambda", "API Gateway", "DynamoDB", "S3", "SQS", "EventBridge", "KMS", "CloudWatch logs", "CloudWatch alarms",
    "CloudWatch metrics, dashboard",
]
REGISTRY = "Registry (ECR)"


@dataclass
class Part:
    """What happens for each request, at each run of a schedule, for each message of the sweep, or some times in each month."""

    name: str
    per: str
    source: str
    times: float = 1
    function: str | None = None
    milliseconds: float = 0
    cores: float = 0
    init_milliseconds: float = 0
    invocations: float = 1
    api_calls: float = 0
    read_units: float = 0
    write_units: float = 0
    s3_puts: float = 0
    s3_gets: float = 0
    sqs_calls: float = 0
    kms_calls: float = 0
    bus_events: float = 0
    log_bytes: float = 0

    @property
    def memory_megabytes(self) -> int:
        return values.function(self.function, "MemorySize") if self.function else 0

    def billed(self) -> float:
        """Milliseconds, warm."""
        return self.milliseconds * (values.slower(self.function, self.cores) if self.cores else 1)

    def cost(self, cold: float, architecture: str) -> dict[str, float]:
        """By service, of all its times."""
        invocations = self.invocations if self.function else 0
        storage = values.function(self.function).get("EphemeralStorage", {}) if self.function else {}
        disk = max(0, int(storage.get("Size", FREE_DISK_MEGABYTES)) - FREE_DISK_MEGABYTES) / 1024
        seconds = (self.billed() + cold * self.invocations * self.init_milliseconds) / 1000
        once = {
            "Lambda": seconds * self.memory_megabytes / 1024 * LAMBDA_SECOND[architecture]
            + invocations * LAMBDA_INVOCATION
            + disk * seconds * LAMBDA_DISK_SECOND,
            "API Gateway": self.api_calls * API_CALL,
            "DynamoDB": self.write_units * WRITE_UNIT + self.read_units * READ_UNIT,
            "S3": self.s3_puts * S3_PUT + self.s3_gets * S3_GET,
            "SQS": self.sqs_calls * SQS_CALL,
            "EventBridge": self.bus_events * BUS_EVENT,
            "KMS": self.kms_calls * KMS_CALL,
            "CloudWatch logs": self.log_bytes * (LOG_BYTE + LOG_MONTH * values.parameter("LogRetentionDays") / DAYS),
        }
        return {service: self.times * cost for service, cost in once.items()}


@dataclass
class Figures:
    about: str
    source: str
    parts: list[Part] = field(default_factory=list)
    stored: dict[str, float] = field(default_factory=dict)

    def of(self, per: str) -> list[Part]:
        return [part for part in self.parts if part.per == per]

    def each_month(self) -> list[Part]:
        return self.of("schedule") + self.of("month")


def main() -> int:
    arguments = parse_arguments()
    try:
        for name, text in tables(arguments.architecture, arguments.registry_days).items():
            print(f"<!-- {name} -->\n{text}")
    except (Failure, OSError) as error:
        print(f"cost: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--architecture", choices=sorted(LAMBDA_SECOND), default=ARCHITECTURE, help="as the parameter of the template"
    )
    parser.add_argument(
        "--registry-days", type=float, default=DAYS, metavar="DAYS",
        help="how long results stay in the registry (default: %(default)s)",
    )
    return parser.parse_args()


def read() -> Figures:
    try:
        document = values.measured()
        parts = [Part(name=name, **members) for name, members in document["parts"].items()]
        stored = {name: value for name, value in document["stored"].items() if name != "source"}
        figures = Figures(document["about"], document["source"], parts, stored)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{FIGURES} cannot be used: {type(error).__name__}: {error}") from error
    for part in figures.parts:
        if part.per not in ("request", "schedule", "message"):
            raise Failure(f"{FIGURES}: {part.name}: per is `{part.per}`; use request, schedule or message")
        if part.per == "schedule":
            event = values.function(part.function, "Events", "Schedule", "Properties", "Schedule")
            part.times = MINUTES / values.minutes(event)
            if part.function == "notify":
                part.read_units = EMPTY_QUERY * values.code("shared/adapters/aws", "PARTITIONS")
    if len(figures.of("schedule")) != len(values.events("Schedule")):
        raise Failure(f"{FIGURES} and template.yaml have different functions with a schedule")
    missing = {"table_bytes", "bucket_bytes", "registry_bytes"} - figures.stored.keys()
    if missing:
        raise Failure(f"{FIGURES}: stored lacks {', '.join(sorted(missing))}")
    figures.parts += [
        Part(f"polling of {len(values.events('SQS'))} queues", "month", "calculated", sqs_calls=polls()),
        Part("key of the table, all functions at work", "month", "upper bound", kms_calls=key_calls()),
    ]
    return figures


def polls() -> float:
    return len(values.events("SQS")) * POLLERS * MINUTES * 60 / POLL_SECONDS


def key_calls() -> float:
    return len(values.functions()) * MINUTES / KEY_MINUTES


def tables(architecture: str, registry_days: float) -> dict[str, str]:
    """What docs/COST.md has between comments of these names."""
    figures = read()
    asks, = (part for part in figures.parts if part.name == "intake, GET")
    memory = values.function("mutate", "MemorySize")
    basis = (
        f"Times: **{figures.source}**. Prices: list, {REGION}, {PRICES_AS_OF}, US dollars, no free tier. "
        f"Functions on {architecture}; "
        f"mutate was measured with two cores busy, and is taken to last {values.slower('mutate', 2):.2f} times as long with "
        f"{memory} MB, which are {memory / values.CORE_MEGABYTES:.2f}."
        f"\n\nOne request: {figures.about}; the caller asks {asks.times} times how it goes."
    )
    found = {
        "cost-basis": basis,
        "cost-calls": calls(figures),
        "cost-request": one_request(figures, architecture),
        "cost-month": months(figures, architecture, registry_days),
        "cost-growth": growth(figures),
        "cost-networks": networks(),
        "cost-traffic": traffic(figures),
    }
    return {name: f"\n{text}\n" for name, text in found.items()}


def calls(figures: Figures) -> str:
    kinds = [
        ("invocations", lambda part: part.invocations if part.function else 0),
        ("API", lambda part: part.api_calls),
        ("write units", lambda part: part.write_units),
        ("read units", lambda part: part.read_units),
        ("S3 PUT, LIST", lambda part: part.s3_puts),
        ("S3 GET", lambda part: part.s3_gets),
        ("SQS", lambda part: part.sqs_calls),
        ("events", lambda part: part.bus_events),
        ("KMS", lambda part: part.kms_calls),
        ("log bytes", lambda part: part.log_bytes),
    ]
    rows = [["part", "ms × MB, each", "times", *(name for name, _ in kinds), "source of the time"]]
    for part in figures.parts:
        time = f"{grouped(round(part.billed(), 0 if part.billed() >= 10 else 1))} × {part.memory_megabytes:g}" if part.function else ""
        times = f"{grouped(part.times)} a {'month' if part.per == 'schedule' else part.per}"
        rows.append([part.name, time, times, *(grouped(part.times * count(part)) for _, count in kinds), part.source])
    parts = figures.of("request")
    sums = [grouped(sum(part.times * count(part) for part in parts)) for _, count in kinds]
    rows.append(["**one request**", "", "", *(f"**{total}**" if total else "" for total in sums), ""])
    return table(rows, left={0, 1, 2, len(rows[0]) - 1})


def one_request(figures: Figures, architecture: str) -> str:
    """What another request adds while the functions are warm, without what it stores."""
    parts = figures.of("request")
    costs = [part.cost(0, architecture) for part in parts]
    services = [service for service in SERVICES if any(cost.get(service, 0) for cost in costs)]
    rows = [["US dollars for a million requests", *services, "all"]]
    for part, cost in zip(parts, costs):
        each = [cost.get(service, 0) for service in services]
        rows.append([part.name, *(money(MILLION * amount) for amount in [*each, sum(each)])])
    sums = [sum(cost.get(service, 0) for cost in costs) for service in services]
    rows.append(["**all**", *(f"**{money(MILLION * total)}**" for total in sums), f"**{money(MILLION * sum(sums))}**"])
    return table(rows, left={0})


def months(figures: Figures, architecture: str, registry_days: float) -> str:
    columns = {
        f"{grouped(volume)} a day": month(figures, architecture, volume * DAYS, cold, registry_days)
        for volume, cold in VOLUMES.items()
    }
    idle = month(figures, architecture, 0, 1.0, registry_days)
    rows = [["US dollars a month", "no requests", *columns]]
    counts = {"CloudWatch alarms": f", {alarms()}", "CloudWatch metrics, dashboard": f", {sum(values.metrics())} and {dashboards()}"}
    for service in SERVICES:
        rows.append([service + counts.get(service, ""), money(idle[service]), *(money(column[service]) for column in columns.values())])
    whole = {"no requests": idle, **columns}
    totals = [sum(column[service] for service in SERVICES) for column in whole.values()]
    rows.append(["**all but the registry**", *(f"**{money(total)}**" for total in totals)])
    rows.append([
        f"{REGISTRY}, results kept {registry_days:g} days", *(money(column[REGISTRY]) for column in whole.values()),
    ])
    shares = [f"{total / (volume * DAYS):.5f}" for volume, total in zip(VOLUMES, totals[1:])]
    rows.append(["without the registry, for each request", "", *shares])
    most = values.sweep_messages(values.sized("QueueAgeAlarmSeconds"))
    waiting = [money(volume * DAYS * most * sweep_message(figures, architecture)) for volume in VOLUMES]
    rows.append([f"Sweep messages, at most {most} for each request until an alarm tells that it waits", "", *waiting])
    return table(rows, left={0})


def sweep_message(figures: Figures, architecture: str) -> float:
    return sum(sum(part.cost(0, architecture).values()) for part in figures.of("message"))


def alarms() -> int:
    return sum(len(values.resources(f"AWS::CloudWatch::{kind}")) for kind in ("Alarm", "CompositeAlarm"))


def alarm_month() -> float:
    """An alarm on several metrics costs as many."""
    single = sum(
        sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1
        for alarm in values.resources("AWS::CloudWatch::Alarm").values()
    )
    return single * ALARM_MONTH + len(values.resources("AWS::CloudWatch::CompositeAlarm")) * COMPOSITE_MONTH


def metric_month(requests: float) -> float:
    """Metrics are billed for hours in which they get something; at worst each request has an hour for itself."""
    always, of_requests = values.metrics()
    return (always + of_requests * min(1, requests / (DAYS * 24))) * METRIC_MONTH


def dashboards() -> int:
    return len(values.resources("AWS::CloudWatch::Dashboard"))


def month(
    figures: Figures, architecture: str, requests: float, cold: float, registry_days: float
) -> dict[str, float]:
    """By service. Of what is stored for ever, that of this month's requests for the whole month."""
    costs = dict.fromkeys([*SERVICES, REGISTRY], 0.0)
    for parts, factor in ((figures.of("request"), requests), (figures.each_month(), 1)):
        for part in parts:
            for service, cost in part.cost(cold, architecture).items():
                costs[service] += factor * cost
    stored = figures.stored
    costs["DynamoDB"] += requests * stored["table_bytes"] * (TABLE_MONTH + BACKUP_MONTH)
    costs["S3"] += requests * stored["bucket_bytes"] * values.parameter("DataDaysToLive") / DAYS * S3_MONTH
    # The layer between mutate and push, which the bucket keeps as a former version once it is removed.
    costs["S3"] += requests * stored["registry_bytes"] * former_days() / DAYS * S3_MONTH
    costs["KMS"] += len(values.resources("AWS::KMS::Key")) * KMS_KEY_MONTH
    costs["CloudWatch alarms"] += alarm_month()
    costs["CloudWatch metrics, dashboard"] += metric_month(requests) + dashboards() * DASHBOARD_MONTH
    costs[REGISTRY] += requests * stored["registry_bytes"] * registry_days / DAYS * REGISTRY_MONTH
    return costs


def former_days() -> int:
    """How long what is removed from `work/` is still there; S3 rounds up to the next day."""
    rule, = (rule for rule in values.resource("Bucket", "LifecycleConfiguration", "Rules") if rule["Id"] == "work")
    return rule["NoncurrentVersionExpiration"]["NoncurrentDays"] + 1


def growth(figures: Figures) -> str:
    lines = []
    for volume in VOLUMES:
        requests = volume * DAYS
        kept = requests * figures.stored["table_bytes"] / GIGABYTE
        cost = requests * figures.stored["table_bytes"] * (TABLE_MONTH + BACKUP_MONTH)
        images = requests * figures.stored["registry_bytes"] / GIGABYTE
        lines.append([
            f"{grouped(volume)} a day", money(kept), money(cost),
            money(images), money(images * GIGABYTE * REGISTRY_MONTH),
        ])
    head = [
        "each month adds", "GB in the table", "US dollars a month",
        "GB in the registry, unless removed", "US dollars a month",
    ]
    return table([head, *lines], left={0})


def called(given: dict[str, str]) -> set[str]:
    """The services that functions call, by the rights of their roles."""
    statements = [
        statement
        for role in values.resources("AWS::IAM::Role", resolved({"Size": values.SIZE, **given})["Resources"]).values()
        for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]
    ]
    actions = [statement["Action"] for statement in statements]
    named = [name for action in actions for name in (action if isinstance(action, list) else [action])]
    return {name.split(":")[0] for name in named} - NO_ENDPOINT


def endpoints() -> tuple[list[str], list[str]]:
    """Those that each stack needs, and those of what parameters may name."""
    always = called({})
    every = called({name: "arn:" for name in values.TEMPLATE["Parameters"] if name.endswith("Arn")})
    names = lambda found: [name for service in sorted(found) for name in ENDPOINTS.get(service, [service])]
    return names(always), names(every - always)


def networks() -> str:
    """What private networks cost in a month, however little goes through."""
    always, named = endpoints()
    hours = MINUTES / 60
    nat, one = NAT_HOUR * hours, ENDPOINT_HOUR * hours
    both = nat + len(always) * one
    byte = {"nat": f"{NAT_BYTE * GIGABYTE:g}", "endpoint": f"{ENDPOINT_BYTE * GIGABYTE:g}"}
    rows = [["US dollars", "a month in one availability zone", "in two", "a GB"]]
    for name, each, gigabyte in [
        ("NAT gateway alone", nat, byte["nat"]),
        (f"endpoints alone: {', '.join(always)}", len(always) * one, byte["endpoint"]),
        ("both", both, f"{byte['endpoint']}, to other places {byte['nat']}"),
        (f"each further endpoint: {', '.join(named)}, where a parameter names such a thing", one, byte["endpoint"]),
        ("endpoints of S3 and DynamoDB (gateways)", 0, "0"),
    ]:
        rows.append([name, money(each), money(2 * each), gigabyte])
    return table(rows, left={0})


def traffic(figures: Figures) -> str:
    """The layers of images: nothing else has as many bytes."""
    layer = figures.stored["registry_bytes"]
    rows = [["a month", *(f"{grouped(volume)} a day" for volume in VOLUMES)]]
    for name, each, shown in [
        ("GB of results to ECR, in base64", layer * BASE64 / GIGABYTE, grouped_gigabytes),
        ("US dollars, through an endpoint", layer * BASE64 * ENDPOINT_BYTE, money),
        ("US dollars, through a NAT gateway", layer * BASE64 * NAT_BYTE, money),
        ("GB of indexes from another registry, or of results to one", layer / GIGABYTE, grouped_gigabytes),
        ("US dollars, through a NAT gateway", layer * NAT_BYTE, money),
    ]:
        rows.append([name, *(shown(volume * DAYS * each) for volume in VOLUMES)])
    return table(rows, left={0})


def grouped_gigabytes(amount: float) -> str:
    return f"{amount:,.1f}".replace(",", " ")


def table(rows: list[list[str]], left: set[int]) -> str:
    rule = ["---" if place in left else "---:" for place in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]])


def grouped(number: float) -> str:
    """In groups of three digits; nothing for zero."""
    if number == 0:
        return ""
    return (f"{number:,.0f}" if number >= 1000 else f"{number:g}").replace(",", " ")


def money(amount: float) -> str:
    return f"{amount:,.2f}".replace(",", " ")


if __name__ == "__main__":
    sys.exit(main())
