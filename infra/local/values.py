"""What template.yaml, the code and measured.json say, for documents and for the model of the costs.

The template is read with the defaults of its parameters and the size medium, which is what documents calculate with where they
name no size.
"""

import json
import math
import re
from pathlib import Path

from check import read_sizes
from resolved import resolved
from templates import ROOT, read_template

SIZE = "medium"
KIB, MIB, GIB = 1024, 1024**2, 1024**3
PRUNE = "shared/pipeline/src/prune"
STAGES = ("Pin", "Mutate", "Push")
FIGURES = ROOT / "infra/local/measured.json"

TEMPLATE = read_template()
SIZED = read_sizes(TEMPLATE)
RESOURCES = resolved({"Size": SIZE})["Resources"]


class Failure(Exception):
    """There is no such number; the text is all there is to say."""


def parameter(name: str) -> int:
    value = TEMPLATE["Parameters"][name]["Default"]
    return minutes(value) if isinstance(value, str) else value


def minutes(schedule: str) -> int:
    """Between two runs."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", schedule)
    if not rate:
        raise Failure(f"{schedule} is no rate")
    return int(rate[1]) * {"minute": 1, "hour": 60, "day": 24 * 60}[rate[2]]


def sized(name: str, size: str = SIZE) -> int:
    """What a size sets."""
    return SIZED[size][name]


def resource(name: str, *path: str):
    """A property of a resource."""
    value = RESOURCES[name]["Properties"]
    for part in path:
        value = value[part]
    return int(value) if isinstance(value, str) and value.isdigit() else value


def resources(kind: str, of: dict = RESOURCES) -> dict[str, dict]:
    """The properties of all resources of a kind, by name."""
    return {name: resource["Properties"] for name, resource in of.items() if resource["Type"] == kind}


def functions(of: dict = RESOURCES) -> dict[str, dict]:
    return resources("AWS::Serverless::Function", of)


def function(name: str, *path: str):
    """A property of a function, by its name: `dead-letter`."""
    return resource(f"{name.title().replace('-', '')}Function", *path)


def events(kind: str) -> dict[str, dict]:
    """The event source of such a kind, by function."""
    return {
        name: event["Properties"]
        for name, properties in functions().items() for event in properties.get("Events", {}).values() if event["Type"] == kind
    }


def files(place: str) -> list[Path]:
    """Sources of a crate, or a file or folder of them; no tests."""
    place = ROOT / place
    if place.is_file():
        return [place]
    source = place / "src" if (place / "src").is_dir() else place
    return [file for file in sorted(source.rglob("*.rs")) if "tests" not in (file.stem, file.parent.name)]


def code(folder: str, name: str) -> int | float:
    """A constant of the code, or a default (`name: …`), wherever it is there: a number, a product, or a
    duration in seconds."""
    units = {"millis": 0.001, "secs": 1, "mins": 60, "hours": 3600}
    value = r"\d[\d_* ]*|\w+::from_\w+\([\d_* ]+\)"
    declared = re.compile(rf"\b(?:const {name}: [^=]+=|{name}:) ({value})[;,]")
    found = set()
    for file in files(folder):
        text = file.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        found |= {match[1] for match in declared.finditer(text)}
    values = set()
    for text in found:
        duration = re.fullmatch(r"\w+::from_(millis|secs|mins|hours)\((.*)\)", text)
        product = (duration[2] if duration else text).replace("_", "").split("*")
        value = units[duration[1]] if duration else 1
        for factor in product:
            value *= int(factor)
        values.add(value)
    if len(values) != 1:
        raise Failure(f"{folder} has {len(values)} values of {name}, not one")
    return values.pop()


def matched(file: str, pattern: str) -> re.Match:
    """What stands in a file in another form than a constant."""
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))
    if not found:
        raise Failure(f"{file} has nothing like {pattern}")
    return found


def measured() -> dict:
    return json.loads(FIGURES.read_text(encoding="utf-8"))


# What several documents calculate with.


# What figures are told apart by, and of how many values each has; of kinds, those that a team uses.
KINDS = 3
ABOUT = {"Kind": lambda: KINDS, "Class": lambda: 3, "Stage": lambda: len(STAGES), "Result": lambda: 3, "Function": lambda: len(functions())}


def metrics() -> tuple[int, int]:
    """Metrics of our own, as the table of the runbook has them: those that are there each minute, and those that come with
    requests. A figure is one for the stack, and one more for each value of what it is told apart by, with what stands before it."""
    always, of_requests = 0, 0
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| ([\w, ]*)\|", (ROOT / "docs/RUNBOOK.md").read_text(encoding="utf-8"), re.MULTILINE)
    for name, about in rows:
        count, values = 1, 1
        for dimension in filter(None, about.strip().split(", ")):
            values *= ABOUT[dimension]()
            count += values
        if about.strip() or name == "GivenUpMessages":
            of_requests += count
        else:
            always += count
    if not always or not of_requests:
        raise Failure("docs/RUNBOOK.md has no table of figures")
    return always, of_requests


def prune_seconds() -> int:
    """The longest run of prune, but for what is kept back at its end."""
    return code(f"{PRUNE}.rs", "LONGEST_RUN") - code(f"{PRUNE}.rs", "RESERVE")


def idle_seconds() -> int:
    """How long a request is due until prune sends the first message for it."""
    matched(f"{PRUNE}.rs", r"const IDLE: SignedDuration = crate::stage::LEASE;")
    return code("shared/pipeline", "LEASE")


def sweep_messages(seconds: float) -> int:
    """Messages of the sweep for a request that stands in a queue for so long: after each the wait is twice as long, and prune
    comes by at certain times only."""
    idle, doublings = idle_seconds(), code(PRUNE, "DOUBLINGS")
    run = 60 * parameter("PruneSchedule")
    at, sent = run * math.ceil(idle / run), 0
    while at <= seconds:
        sent += 1
        at += run * math.ceil(idle * 2 ** min(sent, doublings) / run)
    return sent


# Lambda gives a function one of its cores for so much memory.
CORE_MEGABYTES = 1769


def slower(name: str, cores: float) -> float:
    """How much longer a function takes than what was measured while it kept so many cores busy."""
    return max(1, cores * CORE_MEGABYTES / function(name, "MemorySize"))


def bench(bundles: str) -> tuple[int, float]:
    """MiB of the database of an index of other tools, and the seconds that mutate took on two cores (docs/PERFORMANCE.md)."""
    row = matched("docs/PERFORMANCE.md", rf"\n\| {bundles} \| (\d+) MiB \| foreign \| [\d.]+ \| ([\d.]+) \|")
    return int(row[1]), float(row[2])
