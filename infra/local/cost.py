#!/usr/bin/env python3
"""Calculates what the service costs on AWS, from counted calls, measured times and list prices.

Prints Markdown: the calls of one request, the cost of one request, and the cost of a month at some
volumes, by service. docs/COST.md says what the model leaves out. The counts and times are in
infra/local/measured.json:

  about   what one request is
  source  where the times come from: `estimate`, or what measured them
  counts  where the counts come from
  parts   name -> what happens for each request or in each month:
    per                request | month
    times              how often (default 1)
    function           whose time it is; with memory_megabytes, milliseconds (billed, warm),
                       init_milliseconds (billed when cold) and invocations (default 1)
    api_calls, read_units, write_units, s3_puts (PUT, LIST, parts), s3_gets, sqs_calls, kms_calls,
    bus_events, log_bytes          of each time (default 0)
    source             where the figures come from
  stored  bytes that one request leaves: table_bytes (for ever), bucket_bytes for bucket_days,
          registry_bytes for --registry-days

Exit code 1: the figures cannot be used, and why.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

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
ALARM_MONTH = 0.10
METRIC_MONTH = 0.30
DASHBOARD_MONTH = 3.00
REGISTRY_MONTH = 0.10 / GIGABYTE  # ECR

# What template.yaml and shared/wiring/edge/src/gauges.rs have.
ALARMS = 33
METRICS = 9
DISK_MEGABYTES = {"mutate": 4096}  # DiskMegabytes of the sizes small and medium; 512 of them are free
LOG_RETENTION_DAYS = 30  # LogRetentionDays

DAYS = 30
# Requests a day, and the share of invocations that begin cold at such a rate: a guess.
VOLUMES = {10: 1.0, 1_000: 0.3, 100_000: 0.02}

SERVICES = [
    "Lambda", "API Gateway", "DynamoDB", "S3", "SQS", "EventBridge", "KMS", "CloudWatch logs", "CloudWatch alarms, metrics",
]
REGISTRY = "Registry (ECR)"
BEGIN, END = "<!-- cost.py: begin -->", "<!-- cost.py: end -->"


class Failure(Exception):
    """The figures cannot be used; the text is all there is to say."""


@dataclass
class Part:
    """What happens once for each request, or some times in each month."""

    name: str
    per: str
    source: str
    times: float = 1
    function: str | None = None
    memory_megabytes: float = 0
    milliseconds: float = 0
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

    def gigabyte_seconds(self, cold: float) -> float:
        billed = self.milliseconds + cold * self.invocations * self.init_milliseconds
        return billed / 1000 * self.memory_megabytes / 1024

    def cost(self, cold: float, architecture: str) -> dict[str, float]:
        """By service, of all its times."""
        invocations = self.invocations if self.function else 0
        disk = max(0, DISK_MEGABYTES.get(self.function, 512) - 512) / 1024
        seconds = (self.milliseconds + cold * self.invocations * self.init_milliseconds) / 1000
        once = {
            "Lambda": self.gigabyte_seconds(cold) * LAMBDA_SECOND[architecture]
            + invocations * LAMBDA_INVOCATION
            + disk * seconds * LAMBDA_DISK_SECOND,
            "API Gateway": self.api_calls * API_CALL,
            "DynamoDB": self.write_units * WRITE_UNIT + self.read_units * READ_UNIT,
            "S3": self.s3_puts * S3_PUT + self.s3_gets * S3_GET,
            "SQS": self.sqs_calls * SQS_CALL,
            "EventBridge": self.bus_events * BUS_EVENT,
            "KMS": self.kms_calls * KMS_CALL,
            "CloudWatch logs": self.log_bytes * (LOG_BYTE + LOG_MONTH * LOG_RETENTION_DAYS / DAYS),
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


def main() -> int:
    arguments = parse_arguments()
    try:
        figures = read(arguments.measured)
        text = report(figures, arguments.architecture, arguments.registry_days)
        if arguments.into:
            put_into(arguments.into, text)
        else:
            print(text)
    except (Failure, OSError) as error:
        print(f"cost: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--measured", type=Path, default=Path(__file__).with_name("measured.json"), metavar="FILE",
        help="the figures (default: infra/local/measured.json)",
    )
    parser.add_argument(
        "--architecture", choices=sorted(LAMBDA_SECOND), default="arm64", help="as the parameter of the template"
    )
    parser.add_argument(
        "--registry-days", type=float, default=DAYS, metavar="DAYS",
        help="how long results stay in the registry (default: %(default)s)",
    )
    parser.add_argument("--into", type=Path, metavar="FILE", help="replace the tables in this document")
    return parser.parse_args()


def read(path: Path) -> Figures:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        parts = [Part(name=name, **values) for name, values in document["parts"].items()]
        stored = {name: value for name, value in document["stored"].items() if name != "source"}
        figures = Figures(document["about"], document["source"], parts, stored)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{path} cannot be used: {type(error).__name__}: {error}") from error
    for part in figures.parts:
        if part.per not in ("request", "month"):
            raise Failure(f"{path}: {part.name}: per is `{part.per}`; use request or month")
    missing = {"table_bytes", "bucket_bytes", "bucket_days", "registry_bytes"} - figures.stored.keys()
    if missing:
        raise Failure(f"{path}: stored lacks {', '.join(sorted(missing))}")
    return figures


def put_into(path: Path, text: str) -> None:
    """Replaces what is between the marks of a document."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Failure(f"{path} has no `{BEGIN}` with `{END}` behind it")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def report(figures: Figures, architecture: str, registry_days: float) -> str:
    return "\n\n".join([
        f"Times: **{figures.source}**. Prices: list, {REGION}, {PRICES_AS_OF}, US dollars, no free tier. "
        f"Functions on {architecture}.",
        f"One request: {figures.about}.",
        "### Calls",
        calls(figures),
        "### One request",
        one_request(figures, architecture),
        "### One month",
        months(figures, architecture, registry_days),
        growth(figures),
    ])


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
        time = f"{part.milliseconds:g} × {part.memory_megabytes:g}" if part.function else ""
        times = f"{grouped(part.times)} a {part.per}"
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
    for service in SERVICES:
        rows.append([service, money(idle[service]), *(money(column[service]) for column in columns.values())])
    whole = {"no requests": idle, **columns}
    totals = [sum(column[service] for service in SERVICES) for column in whole.values()]
    rows.append(["**all but the registry**", *(f"**{money(total)}**" for total in totals)])
    rows.append([
        f"{REGISTRY}, results kept {registry_days:g} days", *(money(column[REGISTRY]) for column in whole.values()),
    ])
    shares = [f"{total / (volume * DAYS):.5f}" for volume, total in zip(VOLUMES, totals[1:])]
    rows.append(["without the registry, for each request", "", *shares])
    return table(rows, left={0})


def month(
    figures: Figures, architecture: str, requests: float, cold: float, registry_days: float
) -> dict[str, float]:
    """By service. Of what is stored for ever, that of this month's requests for the whole month."""
    costs = dict.fromkeys([*SERVICES, REGISTRY], 0.0)
    for part in figures.parts:
        factor = requests if part.per == "request" else 1
        for service, cost in part.cost(cold, architecture).items():
            costs[service] += factor * cost
    stored = figures.stored
    costs["DynamoDB"] += requests * stored["table_bytes"] * (TABLE_MONTH + BACKUP_MONTH)
    costs["S3"] += requests * stored["bucket_bytes"] * stored["bucket_days"] / DAYS * S3_MONTH
    costs["KMS"] += KMS_KEY_MONTH
    costs["CloudWatch alarms, metrics"] += ALARMS * ALARM_MONTH + METRICS * METRIC_MONTH + DASHBOARD_MONTH
    costs[REGISTRY] += requests * stored["registry_bytes"] * registry_days / DAYS * REGISTRY_MONTH
    return costs


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
