#!/usr/bin/env python3
"""Fills numbers that stand in template.yaml or in the code into documents.

In a document a number is held in one of two ways: by the name of a parameter of the template, or of a value that the
size medium sets, before it (`` `ApiRate` 50 ``), or between comments that name it (`<!--=lease-->90<!--/-->`), which are not
seen where Markdown is shown. The names are in NUMBERS below. Without --into it changes nothing, and the exit
code is 1 where a document has another number.
"""

import argparse
import re
import sys
from pathlib import Path

from check import ROOT, read_sizes, read_template

DOCUMENTS = [ROOT / "docs" / name for name in ("DEPLOY.md", "RUNBOOK.md", "SCALE.md")]
MARKED = re.compile(r"<!--=([\w-]+)-->(.*?)<!--/-->", re.DOTALL)
# A number that goes on is one with a unit or a part of its own.
PARAMETER = re.compile(r"(`([A-Z]\w+)` \(?)(\d+)(?![\d.])")
KIB, MIB, GIB = 1024, 1024**2, 1024**3

TEMPLATE = read_template()
SIZED = read_sizes(TEMPLATE)


class Failure(Exception):
    """There is no such number; the text is all there is to say."""


def parameter(name: str) -> int:
    value = TEMPLATE["Parameters"][name]["Default"]
    return int(re.fullmatch(r"rate\((\d+) minutes?\)", value)[1]) if isinstance(value, str) else value


def sized(name: str, size: str = "medium") -> int:
    """What a size sets; documents calculate with medium where they name no size."""
    return SIZED[size][name]


def resource(name: str, *path: str) -> int:
    """A property of a resource; what refers to a parameter is its default, to a size medium's."""
    value = TEMPLATE["Resources"][name]["Properties"]
    for part in path:
        value = value[part]
    if isinstance(value, dict):
        return sized(value["FindInMap"][2]) if "FindInMap" in value else parameter(value["Ref"])
    return value


# What a size sets, as SCALE.md shows it.
SIZE_ROWS = [
    ("indexes changed at once", lambda size: sized("MutateConcurrency", size)),
    ("batches of requests pinned at once", lambda size: sized("PinConcurrency", size)),
    ("results pushed at once", lambda size: sized("PushConcurrency", size)),
    ("functions that the queues ask for at most", lambda size: all_concurrency(size)),
    ("largest index, GiB uncompressed (`MaxIndexBytes`)", lambda size: f"{sized('MaxIndexBytes', size) / GIB:.1f}"),
    ("`/tmp` of mutate, MB (`DiskMegabytes`)", lambda size: sized("DiskMegabytes", size)),
    ("memory of mutate, MB (1769 are a core)", lambda size: sized("MutateMegabytes", size)),
    ("seconds that a stage may take (`StageSeconds`)", lambda size: sized("StageSeconds", size)),
    ("minutes until a lost message comes back (`QueueVisibilitySeconds`)", lambda size: sized("QueueVisibilitySeconds", size) / 60),
    ("calls of the API a second, and at once", lambda size: f"{sized('ApiRate', size)}, {sized('ApiBurst', size)}"),
    ("calls that may begin to wait in half a minute (`MaxWaiting`)", lambda size: sized("MaxWaiting", size)),
    ("minutes a message may wait before the alarm", lambda size: sized("QueueAgeAlarmSeconds", size) / 60),
    ("seconds that mutate and push may take before the alarm", lambda size: sized("DurationAlarmMilliseconds", size) / 1000),
]


def all_concurrency(size: str = "medium") -> int:
    return sum(sized(f"{name}Concurrency", size) for name in (*STAGES, "DeadLetter"))


def sizes() -> str:
    rows = [["", *(f"`{size}`" for size in SIZED)], ["---"] * (1 + len(SIZED))]
    rows += [[what, *(shown(of(size)) for size in SIZED)] for what, of in SIZE_ROWS]
    return "".join(f"\n| {' | '.join(row)} |" for row in rows).replace("|  |", "| |") + "\n"


def files(place: str) -> list[Path]:
    """Sources of a crate, or a file or folder of them; no tests."""
    place = ROOT / place
    if place.is_file():
        return [place]
    source = place / "src" if (place / "src").is_dir() else place
    return [file for file in sorted(source.rglob("*.rs")) if "tests" not in (file.stem, file.parent.name)]


def code(folder: str, name: str) -> int:
    """A constant of the code, or a default (`name: …`), wherever it is there: a number, a product, or a
    duration in seconds."""
    units = {"secs": 1, "mins": 60, "hours": 3600}
    value = r"\d[\d_* ]*|\w+::from_\w+\([\d_* ]+\)"
    declared = re.compile(rf"\b(?:const {name}: [^=]+=|{name}:) ({value})[;,]")
    found = set()
    for file in files(folder):
        text = file.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        found |= {match[1] for match in declared.finditer(text)}
    values = set()
    for text in found:
        duration = re.fullmatch(r"\w+::from_(secs|mins|hours)\((.*)\)", text)
        product = (duration[2] if duration else text).replace("_", "").split("*")
        value = units[duration[1]] if duration else 1
        for factor in product:
            value *= int(factor)
        values.add(value)
    if len(values) != 1:
        raise Failure(f"{folder} has {len(values)} values of {name}, not one")
    return values.pop()


def waits() -> list[int]:
    """Seconds between the attempts of a stage."""
    text = (ROOT / "shared/pipeline/src/stage.rs").read_text(encoding="utf-8")
    seconds = r"Duration::from_secs\((\d+)\)"
    found = re.search(rf"ATTEMPTS: Backoff =\s*Backoff::new\({seconds}, {seconds}\)\.growing_by\(([\d.]+)\)", text)
    if not found:
        raise Failure("shared/pipeline/src/stage.rs does not say how long attempts wait")
    first, longest, factor = int(found[1]), int(found[2]), float(found[3])
    return [int(min(first * factor**attempt, longest)) for attempt in range(parameter("MaxAttempts") - 1)]


def listed(numbers: list[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


STAGES = ("Pin", "Mutate", "Push")
STAGE_FUNCTIONS = [f"{stage}Function" for stage in STAGES]


def in_flight() -> int:
    """Messages that the three queues hand out at once."""
    batches = [resource(f, "Events", "Queue", "Properties", "BatchSize") for f in STAGE_FUNCTIONS]
    return sum(sized(f"{stage}Concurrency") * batch for stage, batch in zip(STAGES, batches))


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
    "idle": lambda: code("shared/pipeline", "LEASE"),
    "nudge-minutes": lambda: nudge_minutes(),
    "lookups": lambda: code("shared/pipeline", "LOOKUPS"),
    "pin-batch": lambda: resource("PinFunction", "Events", "Queue", "Properties", "BatchSize"),
    "sizes": sizes,
    "parameters": lambda: len(TEMPLATE["Parameters"]),
    # Functions, alarms.
    "all-concurrency": all_concurrency,
    "mutate-concurrency": lambda: sized("MutateConcurrency"),
    "push-concurrency": lambda: sized("PushConcurrency"),
    "intake-timeout": lambda: resource("IntakeFunction", "Timeout"),
    "mutate-memory": lambda: resource("MutateFunction", "MemorySize"),
    "disk-megabytes": lambda: sized("DiskMegabytes"),
    "index-gib": lambda: sized("MaxIndexBytes") / GIB,
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
    "data-days": lambda: parameter("DataDaysToLive"),
    "once-days": lambda: code("shared/adapters/aws", "TEMPORARY_DAYS"),
    # Limits of the code.
    "bundles": lambda: code("shared/domain/request", "max_bundles"),
    "bundle-mib": lambda: code("shared/domain/request", "max_bundle_bytes") / MIB,
    "body-mib": lambda: code("functions/intake", "BODY_LIMIT") / MIB,
    "answer-mib": lambda: code("functions/intake", "ANSWER_LIMIT") / MIB,
    "log-mib": lambda: code("shared/pipeline", "WHOLE_LIMIT") / MIB,
    "log-tail-mib": lambda: code("shared/pipeline", "TAIL_LIMIT") / MIB,
    "link-minutes": lambda: code("shared/adapters/aws", "LINK_LIFE") / 60,
    "record-kib": lambda: code("shared/adapters/aws", "INLINE") / KIB,
    "reason-characters": lambda: code("shared/adapters/registry", "REASON_LIMIT"),
    "letter-kib": lambda: code("shared/pipeline", "LOGGED") / KIB,
    "upload-part-mib": lambda: code("shared/adapters/aws/src/artifacts", "PART") / MIB,
    "ecr-part-mib": lambda: code("shared/adapters/aws/src/ecr", "PART") / MIB,
    "table-attempts": lambda: code("shared/adapters/aws", "ATTEMPTS"),
    "registry-attempts": lambda: code("shared/adapters/registry", "ATTEMPTS"),
    "retry-after": lambda: code("shared/adapters/registry", "RETRY_AFTER_CAP"),
    "page": lambda: code("shared/domain/request", "max_per_page"),
}


def retries(function: str) -> int:
    return resource(function, "EventInvokeConfig", "MaximumRetryAttempts")


def nudge_minutes() -> int:
    """Between two messages of the sweep for a request that stands in a queue for long."""
    doublings = code("shared/pipeline/src/prune", "DOUBLINGS")
    return code("shared/pipeline", "LEASE") * 2**doublings // 60


# Seconds that a request takes whose data goes (measured).
EXPIRING = 0.15


def prune_seconds() -> int:
    prune = "shared/pipeline/src/prune.rs"
    return code(prune, "LONGEST_RUN") - code(prune, "RESERVE")


def expired_a_run() -> int:
    return min(code("shared/pipeline/src/prune", "MOST"), int(prune_seconds() / EXPIRING))


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
            lines = zip(text.splitlines(), filled.splitlines())
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
