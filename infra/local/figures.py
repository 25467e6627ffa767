#!/usr/bin/env python3
"""Fills numbers that stand in template.yaml, in the code or in measured.json into documents.

In a document a number is held in one of two ways: by the name of a parameter of the template, or of a value that the
size medium sets, before it (`` `ApiRate` 50 ``), or between comments that name it (`<!--=lease-->90<!--/-->`), which are not
seen where Markdown is shown. The names are in NUMBERS below; some are whole tables. Without --into it changes nothing, and the exit
code is 1 where a document has another number.
"""

import argparse
import re
import sys
from itertools import zip_longest

import cost
import templates
from check import ENDING, LONGEST_FUNCTION, NEW_ACCOUNT, OF_DISK
from templates import ROOT
from values import (
    CORE_MEGABYTES, GIB, KIB, MIB, PRUNE, SIZE, SIZED, STAGES, TEMPLATE, Failure, bench, code, events, function, functions,
    KINDS, idle_seconds, matched, measured, metrics, minutes, parameter, prune_seconds, resource, resources, sized, slower, sweep_messages,
)

DOCUMENTS = [ROOT / "docs" / name for name in ("COST.md", "DEPLOY.md", "RUNBOOK.md", "SCALE.md")]
MARKED = re.compile(r"<!--=([\w-]+)-->(.*?)<!--/-->", re.DOTALL)
# A number that goes on is one with a unit or a part of its own.
PARAMETER = re.compile(r"(`([A-Z]\w+)` \(?)(\d+)(?![\d.])")
DAY = 24 * 60 * 60

COSTS = cost.tables(cost.ARCHITECTURE, cost.DAYS)
MODEL = cost.read()
PARTS = {part.name: part for part in MODEL.parts}


# What a size sets, as SCALE.md shows it.
SIZE_ROWS = [
    ("indexes changed at once", lambda size: sized("MutateConcurrency", size)),
    ("batches of requests pinned at once", lambda size: sized("PinConcurrency", size)),
    ("results pushed at once", lambda size: sized("PushConcurrency", size)),
    ("functions that the queues ask for at most", lambda size: all_concurrency(size)),
    ("largest index, GiB uncompressed (`MaxIndexBytes`)", lambda size: f"{sized('MaxIndexBytes', size) / GIB:.1f}"),
    ("`/tmp` of mutate, MB (`DiskMegabytes`)", lambda size: sized("DiskMegabytes", size)),
    (f"memory of mutate, MB ({CORE_MEGABYTES} are a core)", lambda size: sized("MutateMegabytes", size)),
    ("seconds that a stage may take (`StageSeconds`)", lambda size: sized("StageSeconds", size)),
    ("minutes until a lost message comes back (`QueueVisibilitySeconds`)", lambda size: sized("QueueVisibilitySeconds", size) / 60),
    ("calls of the API a second, and at once", lambda size: f"{sized('ApiRate', size)}, {sized('ApiBurst', size)}"),
    ("calls that may begin to wait in half a minute (`MaxWaiting`)", lambda size: sized("MaxWaiting", size)),
    ("minutes a message may wait before the alarm", lambda size: sized("QueueAgeAlarmSeconds", size) / 60),
    ("seconds within which nine requests of ten are to be done (`RequestObjectiveSeconds`)", lambda size: sized("RequestObjectiveSeconds", size)),
    ("seconds that mutate and push may take before the alarm", lambda size: sized("DurationAlarmMilliseconds", size) / 1000),
]


def all_concurrency(size: str = SIZE) -> int:
    return sum(sized(f"{name}Concurrency", size) for name in (*STAGES, "DeadLetter"))


def sizes() -> str:
    rows = [["", *(f"`{size}`" for size in SIZED)], ["---"] * (1 + len(SIZED))]
    rows += [[what, *(shown(of(size)) for size in SIZED)] for what, of in SIZE_ROWS]
    return "".join(f"\n| {' | '.join(row)} |" for row in rows).replace("|  |", "| |") + "\n"


def entries() -> dict[str, str]:
    """The anchor of the heading below which each alarm is explained: several may share one."""
    anchors, heading = {}, ""
    for line in (ROOT / "docs/RUNBOOK.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            heading = re.sub(r"[^a-z0-9 -]", "", line[4:].lower()).replace(" ", "-")
            anchors[heading] = heading
        anchors |= dict.fromkeys(re.findall(r'<a id="([^"]+)"', line), heading)
    return anchors


def period(alarm: dict) -> int:
    """Seconds, of an alarm on one metric or on several."""
    of_several = (metric["MetricStat"]["Period"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric)
    return alarm.get("Period") or next(of_several)


def alarm_table() -> str:
    """Each alarm with its entry of the runbook, those first that cannot wait."""
    rows = [["alarm", "means", "how often", "urgent"], ["---"] * 4]
    headings = entries()
    found = []
    for name, alarm in resources("AWS::CloudWatch::Alarm").items():
        entry, means = re.fullmatch(r"RUNBOOK: ([a-z0-9-]+)\. (.+)", alarm["AlarmDescription"]).groups()
        periods = alarm["EvaluationPeriods"]
        minutes = period(alarm) // 60
        often = f"{alarm.get('DatapointsToAlarm', periods)} of {periods} times {minutes} minutes"
        is_urgent = "UrgentAlarmTopicArn" in str(TEMPLATE["Resources"][name]["Properties"]["AlarmActions"])
        found.append((not is_urgent, [f"[{entry}](#{headings[entry]})", means, often, "yes" if is_urgent else ""]))
    rows += [row for _, row in sorted(found)]
    return "".join(f"\n| {' | '.join(row)} |" for row in rows).replace("|  |", "| |") + "\n"


def waits() -> list[int]:
    """Seconds between the attempts of a stage."""
    seconds = r"Duration::from_secs\((\d+)\)"
    backoff = rf"ATTEMPTS: Backoff =\s*Backoff::new\({seconds}, {seconds}\)\.growing_by\(([\d.]+)\)"
    found = matched("shared/pipeline/src/stage.rs", backoff)
    first, longest, factor = int(found[1]), int(found[2]), float(found[3])
    return [int(min(first * factor**attempt, longest)) for attempt in range(parameter("MaxAttempts") - 1)]


def listed(numbers: list[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


def in_flight() -> int:
    """Messages that the three queues hand out at once."""
    return sum(sized(f"{stage}Concurrency") * batch_size(stage) for stage in STAGES)


def batch_size(stage: str) -> int:
    return function(stage, "Events", "Queue", "Properties", "BatchSize")


def deliveries() -> int:
    counts = {resource(f"{stage}Queue", "RedrivePolicy", "maxReceiveCount") for stage in STAGES}
    if len(counts) != 1:
        raise Failure("the stages' queues give messages up after different numbers of deliveries")
    return counts.pop()


NUMBERS = {
    # Attempts of a stage, and deliveries of its messages.
    "attempts": lambda: parameter("MaxAttempts"),
    "waits": lambda: listed(waits()),
    "waits-seconds": lambda: sum(waits()),
    "deliveries": deliveries,
    "store-wait": lambda: code("shared/pipeline", "STORE_WAIT"),
    "deliveries-minutes": lambda: deliveries() * code("shared/pipeline", "STORE_WAIT") / 60,
    "in-flight": in_flight,
    "dead-letter-deliveries": lambda: resource("DeadLetterQueue", "RedrivePolicy", "maxReceiveCount"),
    "dead-letter-minutes": lambda: resource("DeadLetterQueue", "VisibilityTimeout") / 60,
    "artifact-retries": lambda: retries("ArtifactFunction"),
    "artifact-tries": lambda: retries("ArtifactFunction") + 1,
    "lease": lambda: code("shared/pipeline", "LEASE"),
    "idle": idle_seconds,
    "nudge-minutes": lambda: nudge_minutes(),
    "lost-minutes": lambda: idle_seconds() // 60 + parameter("PruneSchedule"),
    "renewal": lambda: code("shared/pipeline", "RENEWAL"),
    "queue-days": lambda: resource("PinQueue", "MessageRetentionPeriod") // DAY,
    "stage-most": lambda: LONGEST_FUNCTION - ENDING,
    "lookups": lambda: code("shared/pipeline", "LOOKUPS"),
    "pin-batch": lambda: batch_size("Pin"),
    "sizes": sizes,
    "alarm-table": alarm_table,
    "parameters": lambda: len(templates.read(templates.TEMPLATE)["Parameters"]),
    # Rates, from the times of measured.json.
    "pin-seconds": lambda: seconds("pin"),
    "pin-hour": lambda: an_hour("Pin", seconds("pin")),
    "pin-hour-later": lambda: an_hour("Pin", 1 + seconds("pin")),
    "push-seconds": lambda: seconds("push"),
    "push-hour": lambda: an_hour("Push", seconds("push")),
    "push-hour-later": lambda: an_hour("Push", 1 + seconds("push")),
    "mutate-seconds": lambda: round(seconds("mutate"), 2),
    "mutate-hour": lambda: an_hour("Mutate", seconds("mutate")),
    "mutate-hour-later": lambda: an_hour("Mutate", 1 + seconds("mutate")),
    "mutate-1000-seconds": lambda: round(mutate_seconds(THOUSAND), 2),
    "mutate-1000": lambda: an_hour("Mutate", mutate_seconds(THOUSAND)),
    "mutate-7000-seconds": lambda: round(mutate_seconds(LARGE), 1),
    "mutate-7000": lambda: an_hour("Mutate", mutate_seconds(LARGE)),
    "mutate-mib-milliseconds": lambda: round(1000 * mutate_mib(), 1),
    "mutate-gib": lambda: about(sized("StageSeconds") / mutate_mib() / KIB),
    "mutate-cores": lambda: round(function("mutate", "MemorySize") / CORE_MEGABYTES, 2),
    "rate-hour": lambda: sized("ApiRate") * 3600,
    "rate-quarter": lambda: sized("ApiRate") * 15,
    "request-units": lambda: sum(part.times * part.write_units for part in MODEL.of("request")),
    "table-hour": lambda: about(4000 * 3600 / sum(part.times * part.write_units for part in MODEL.of("request"))),
    "states": lambda: PARTS["notify, each new state"].times,
    "notify-milliseconds": lambda: PARTS["notify, each new state"].milliseconds,
    "notify-minutes": lambda: minutes(events("Schedule")["NotifyFunction"]["Schedule"]),
    "told-hour": lambda: about(250 * 3600 * code("shared/adapters/aws", "PARTITIONS") / PARTS["notify, each new state"].times),
    "notify-hour": lambda: about(
        code("shared/pipeline/src/notify.rs", "AT_ONCE") * 3.6e6
        / PARTS["notify, each new state"].milliseconds / PARTS["notify, each new state"].times
    ),
    "notify-at-once": lambda: code("shared/pipeline/src/notify.rs", "AT_ONCE"),
    "notify-batch": lambda: function("notify", "Events", "News", "Properties", "BatchSize"),
    "news-days": lambda: code("shared/ports", "NEWS_DAYS"),
    "woken": lambda: code("shared/pipeline/src/notify.rs", "WOKEN"),
    "news-kib": lambda: code("shared/adapters/aws/src/requests/outbox.rs", "KEPT") / KIB,
    "news-pages": lambda: code("shared/adapters/aws", "PAGES"),
    "news-units": lambda: about(code("shared/adapters/aws", "PAGES") * code("shared/adapters/aws", "PARTITIONS") * KIB / 8),
    "partitions": lambda: code("shared/adapters/aws", "PARTITIONS"),
    "shards": lambda: code("shared/adapters/aws", "SHARDS"),
    "counter-changes": lambda: code("shared/adapters/aws", "SHARDS") * 1000 // 2,
    "read-batch": lambda: code("shared/adapters/aws/src/requests/read.rs", "BATCH"),
    "write-batch": lambda: code("shared/adapters/aws/src/requests/known.rs", "BATCH"),
    "looks": lambda: round(1 / code("shared/adapters/aws/src/watch.rs", "EVERY"), 1),
    # Functions, alarms.
    "all-concurrency": all_concurrency,
    "mutate-concurrency": lambda: sized("MutateConcurrency"),
    "push-concurrency": lambda: sized("PushConcurrency"),
    "large-memory": lambda: sized("MutateMegabytes", "large"),
    "large-cores": lambda: sized("MutateMegabytes", "large") / CORE_MEGABYTES,
    "new-account": lambda: NEW_ACCOUNT,
    "alarms": cost.alarms,
    "alarm-minutes": lambda: alarm_period() / 60,
    "key-days": lambda: resource("SecretKey", "PendingWindowInDays"),
    "intake-timeout": lambda: resource("IntakeFunction", "Timeout"),
    "mutate-memory": lambda: resource("MutateFunction", "MemorySize"),
    "disk-megabytes": lambda: sized("DiskMegabytes"),
    "index-gib": lambda: sized("MaxIndexBytes") / GIB,
    "index-bundles": lambda: index_bundles(SIZE),
    "huge-disk": lambda: sized("DiskMegabytes", "huge"),
    "huge-gib": lambda: sized("MaxIndexBytes", "huge") / GIB,
    "huge-bundles": lambda: index_bundles("huge"),
    "large-index-mib": lambda: bench(LARGE)[0],
    "of-disk": lambda: OF_DISK,
    "queue-age-minutes": lambda: sized("QueueAgeAlarmSeconds") / 60,
    "oldest-minutes": lambda: resource("OldestLiveRequestAlarm", "Threshold") / 60,
    "unreadable-minutes": lambda: resource("UnreadableRecordsAlarm", "Period") / 60,
    "prune-alarm-minutes": lambda: resource("PruneMissingAlarm", "Period") / 60,
    "duration-percent": lambda: sized("DurationAlarmMilliseconds") / sized("StageSeconds") / 10,
    "burst": lambda: sized("ApiBurst"),
    "rate": lambda: sized("ApiRate"),
    # Prune.
    "prune-minutes": lambda: parameter("PruneSchedule"),
    "expired": lambda: expired_a_run(),
    "expired-hour": lambda: expired_an_hour(),
    "expired-day": lambda: 24 * expired_an_hour(),
    "prune-seconds": lambda: prune_seconds(),
    "expiring": lambda: seconds("prune, one request that expires"),
    "sweep-run": lambda: about(swept("page_with_messages_milliseconds")),
    "sweep-live": lambda: about(swept("page_milliseconds")),
    "sweep-page": lambda: code(f"{PRUNE}/sweep.rs", "PAGE"),
    "sweep-seconds": lambda: measured()["sweep"]["page_milliseconds"] / 1000,
    "sweep-seconds-messages": lambda: measured()["sweep"]["page_with_messages_milliseconds"] / 1000,
    "sweep-month": lambda: sweep_messages(cost.DAYS * DAY),
    "list-page": lambda: code(f"{PRUNE}/objects.rs", "PAGE"),
    "lists": lambda: 1_000_000 // code(f"{PRUNE}/objects.rs", "PAGE"),
    "data-days": lambda: parameter("DataDaysToLive"),
    "once-days": lambda: code("shared/adapters/aws", "TEMPORARY_DAYS"),
    # Limits of the code.
    "bundles": lambda: code("shared/domain/request", "max_bundles"),
    "bundle-mib": lambda: code("shared/domain/request", "max_bundle_bytes") / MIB,
    "body-mib": lambda: code("functions/intake", "BODY_LIMIT") / MIB,
    "answer-mib": lambda: code("functions/intake", "ANSWER_LIMIT") / MIB,
    "answer-kib": lambda: code("functions/intake", "ANSWER_LIMIT") / code("shared/domain/request", "max_per_page") / KIB,
    "log-mib": lambda: code("shared/pipeline", "WHOLE_LIMIT") / MIB,
    "log-tail-mib": lambda: code("shared/pipeline", "TAIL_LIMIT") / MIB,
    "link-minutes": lambda: code("shared/adapters/aws", "LINK_LIFE") / 60,
    "record-kib": lambda: code("shared/adapters/aws", "INLINE") / KIB,
    "reason-characters": lambda: code("shared/adapters/registry", "REASON_LIMIT"),
    "letter-kib": lambda: code("shared/pipeline", "LOGGED") / KIB,
    "upload-part-mib": lambda: code("shared/adapters/aws/src/artifacts", "PART") / MIB,
    "upload-parts": lambda: code("shared/adapters/aws/src/artifacts", "PARTS") + 1,
    "ecr-layer-gib": lambda: about(4200 * code("shared/adapters/aws/src/ecr", "PART") / GIB),
    "ecr-part-mib": lambda: code("shared/adapters/aws/src/ecr", "PART") / MIB,
    "table-attempts": lambda: code("shared/adapters/aws", "ATTEMPTS"),
    "registry-attempts": lambda: code("shared/adapters/registry", "ATTEMPTS"),
    "retry-after": lambda: code("shared/adapters/registry", "RETRY_AFTER_CAP"),
    "page": lambda: code("shared/domain/request", "max_per_page"),
    "login-minutes": lambda: code("shared/adapters/aws/src/auth_secret.rs", "LIFE") / 60,
    "key-hours": lambda: code("shared/adapters/issuer", "USABLE") / 3600,
    # Costs.
    **{name: lambda text=text: text for name, text in COSTS.items()},
    "queues": lambda: len(events("SQS")),
    "pollers": lambda: cost.POLLERS,
    "poll-seconds": lambda: cost.POLL_SECONDS,
    "polls": lambda: int(cost.polls()),
    "key-minutes": lambda: cost.KEY_MINUTES,
    "key-calls": lambda: int(cost.key_calls()),
    "former-days": cost.former_days,
    "month-days": lambda: cost.DAYS,
    "functions": lambda: len(functions()),
    "metrics": lambda: metrics()[0],
    "request-metrics": lambda: metrics()[1],
    "kinds": lambda: KINDS,
    "log-days": lambda: parameter("LogRetentionDays"),
    "asks": lambda: PARTS["intake, GET"].times,
    "cold": lambda: ", ".join(f"{100 * share:g} % at {cost.grouped(volume)} a day" for volume, share in cost.VOLUMES.items()),
    "sweep-million": lambda: about(cost.MILLION * cost.sweep_message(MODEL, cost.ARCHITECTURE)),
    "sweep-stuck": lambda: cost.money(sweep_messages(cost.DAYS * DAY) * cost.sweep_message(MODEL, cost.ARCHITECTURE)),
    "later": lambda: listed([cost.money(cost.MILLION * second(name)) for name in ("pin", "mutate", "push")]),
    "dynamodb-percent": lambda: percent(lambda part, costs: costs["DynamoDB"]),
    "mutate-percent": lambda: percent(lambda part, costs: costs["Lambda"] if part.function == "mutate" else 0),
    "dearer-percent": lambda: round(100 * (cost.LAMBDA_SECOND["x86_64"] / cost.LAMBDA_SECOND["arm64"] - 1)),
    "cheaper-percent": lambda: round(100 * (1 - cost.LAMBDA_SECOND["arm64"] / cost.LAMBDA_SECOND["x86_64"])),
    "idle-dollars": lambda: cost.money(sum(IDLE[service] for service in cost.SERVICES)),
    "watching-dollars": lambda: cost.money(sum(IDLE[service] for service in cost.SERVICES if service.startswith(WATCHING))),
}

# Indexes of docs/PERFORMANCE.md, by their bundles.
THOUSAND, LARGE = "1 000", "7 000"
IDLE = cost.month(MODEL, cost.ARCHITECTURE, 0, 1.0, cost.DAYS)
WATCHING = ("CloudWatch alarms", "CloudWatch metrics")


def about(number: float) -> int | float:
    """With two digits: it is calculated from what is not known better."""
    rounded = float(f"{number:.2g}")
    return int(rounded) if rounded >= 10 else rounded


def seconds(part: str) -> float:
    return PARTS[part].billed() / 1000


def an_hour(stage: str, seconds: float) -> int | float:
    return about(sized(f"{stage}Concurrency") * 3600 / seconds)


def second(name: str) -> float:
    """What a second more of a function costs."""
    return function(name, "MemorySize") / 1024 * cost.LAMBDA_SECOND[cost.ARCHITECTURE]


def percent(of) -> int:
    """The share of it in what a request costs."""
    costs = [(part, part.cost(0, cost.ARCHITECTURE)) for part in MODEL.of("request")]
    return round(100 * sum(of(part, each) for part, each in costs) / sum(sum(each.values()) for _, each in costs))


def mutate_seconds(bundles: str) -> float:
    return bench(bundles)[1] * slower("mutate", 2)


def mutate_mib() -> float:
    """Seconds for a MiB of database."""
    return mutate_seconds(LARGE) / bench(LARGE)[0]


def index_bundles(size: str) -> int | float:
    return about(sized("MaxIndexBytes", size) / MIB / bench(LARGE)[0] * int(LARGE.replace(" ", "")))


def swept(time: str) -> float:
    """Live requests that prune gets to in the half of its time that is for them."""
    return prune_seconds() / 2 / measured()["sweep"][time] * 1000 * code(f"{PRUNE}/sweep.rs", "PAGE")


def alarm_period() -> int:
    """Of all alarms but those of which the runbook says another."""
    others = {"UnreadableRecordsAlarm", "PruneMissingAlarm", "SuccessRatioAlarm", "RequestObjectiveAlarm"}
    periods = {period(alarm) for name, alarm in resources("AWS::CloudWatch::Alarm").items() if name not in others}
    if len(periods) != 1:
        raise Failure("the alarms have different periods")
    return periods.pop()


def retries(function: str) -> int:
    return resource(function, "EventInvokeConfig", "MaximumRetryAttempts")


def nudge_minutes() -> int:
    """Between two messages of the sweep for a request that stands in a queue for long."""
    doublings = code(PRUNE, "DOUBLINGS")
    return code("shared/pipeline", "LEASE") * 2**doublings // 60


def expired_a_run() -> int:
    return min(code("shared/pipeline/src/prune", "MOST"), int(prune_seconds() / seconds("prune, one request that expires")))


def expired_an_hour() -> int:
    return expired_a_run() * 60 // parameter("PruneSchedule")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", action="store_true", help="write the numbers into the documents")
    into = parser.parse_args().into
    faults, used = [], set()
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        filled = fill(text, document.name, faults, used)
        if into:
            document.write_text(filled, encoding="utf-8")
        else:
            lines = zip_longest(text.splitlines(), filled.splitlines())
            faults += [
                f"{document.name}:{at}: not as in template and code; infra/local/figures.py --into makes it so"
                for at, (old, new) in enumerate(lines, 1) if old != new
            ]
    faults += [f"no document has the number {name}" for name in NUMBERS if name not in used]
    for fault in dict.fromkeys(faults):
        print(f"figures: {fault}", file=sys.stderr)
    if not faults and not into:
        print(f"docs: {len(used)} numbers are those of template and code")
    return 1 if faults else 0


def fill(text: str, document: str, faults: list[str], used: set[str]) -> str:
    def marked(match: re.Match) -> str:
        name = match[1]
        used.add(name)
        try:
            return f"<!--={name}-->{shown(NUMBERS[name]())}<!--/-->"
        except KeyError as error:
            faults.append(f"{document}: {name}: there is no {error}")
        except Failure as error:
            faults.append(f"{document}: {name}: {error}")
        return match[0]

    def by_parameter(match: re.Match) -> str:
        default = TEMPLATE["Parameters"].get(match[2], {}).get("Default", SIZED["medium"].get(match[2]))
        if not isinstance(default, int):
            return match[0]
        used.add(match[2])
        return f"{match[1]}{default}"

    return PARAMETER.sub(by_parameter, MARKED.sub(marked, text))


def shown(value) -> str:
    """In groups of three digits from five on; without a fraction where there is none."""
    if isinstance(value, str):
        return value
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{int(text):,}".replace(",", " ") if text.isdigit() and len(text) > 4 else text


if __name__ == "__main__":
    sys.exit(main())
