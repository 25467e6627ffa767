#!/usr/bin/env python3
"""Measures the functions on a stack that runs on this machine (`infra/local/stack bench`).

Cold start: from the start of the process (the deployed binary, in the deployed function's
environment) to its first answer, behind a Runtime API of our own; beside it the same for a Rust
function that does nothing. Warm: the answers after that. Memory: the process's high-water mark.
Throughput: calls of the API per second, and requests per minute through all stages, with 1, 4 and
16 under way. Traces: cold starts and requests per minute with a collector beside those without, in turn. Everything is one run on one machine and is printed as ratios; on an emulator the
times are none of AWS's. Arguments: the folder of the stack, the empty function's binary.
"""

import concurrent.futures
import http.server
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from end_to_end import DOCUMENTS, ROOT, Stack, event

COLD_RUNS, WARM_CALLS = 7, 50
REQUESTS = 24
TRACED_RUNS = 5
PATIENCE = 60


class RuntimeApi(http.server.ThreadingHTTPServer):
    """The Lambda Runtime API for one process: hands out the same event until it is stopped."""

    daemon_threads = True

    def __init__(self, payload: bytes, calls: int):
        super().__init__(("127.0.0.1", 0), Answer)
        self.payload, self.left = payload, calls
        self.begun, self.done, self.failure = [], [], None
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this, Nagle's algorithm and delayed acknowledgement add 40 ms to each answer.
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.server.left == 0:
            self.server.ended.set()
            time.sleep(PATIENCE)  # as the platform does: no event, no answer
            return
        self.server.left -= 1
        deadline = int((time.time() + PATIENCE) * 1000)
        self.send_response(200)
        self.send_header("lambda-runtime-aws-request-id", f"call-{self.server.left}")
        self.send_header("lambda-runtime-deadline-ms", str(deadline))
        self.send_header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.server.payload)))
        self.end_headers()
        self.server.begun.append(time.monotonic())
        self.wfile.write(self.server.payload)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.path.endswith("/error"):
            self.server.failure = body.decode()
            self.server.ended.set()
        else:
            self.server.done.append(time.monotonic())
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def measure(binary: Path, environment: dict, payload, calls: int) -> tuple[float, list[float], float]:
    """Runs a process for some calls: seconds to the first answer, seconds of the others, MiB."""
    api = RuntimeApi(json.dumps(payload).encode(), calls)
    known = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "PATH": "/usr/bin:/bin",
    }
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen([binary], env=environment | known, stdout=log, stderr=log)
        try:
            if not api.ended.wait(PATIENCE) or api.failure or len(api.done) != calls:
                log.seek(0)
                sys.exit(f"bench: {binary.name} does not answer: {api.failure or ''} {log.read().decode()[-2000:]}")
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.kill()
            process.wait()
            api.shutdown()
    memory = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
    warm = [done - begun for begun, done in zip(api.begun, api.done)][1:]
    return api.done[0] - started, warm, memory


def functions(stack: Stack, empty: Path) -> dict:
    """Cold, warm and memory of each function, the runs of all of them in turn."""
    subjects = {"(empty)": (empty, {}, {})}
    for name, document in DOCUMENTS:
        if name in subjects:
            continue
        document = {"intake": "api-get", "artifact": "s3-test"}.get(name, document)
        subjects[name] = (ROOT / "target" / "lambda" / name / "bootstrap", stack.environment(name), event(document))
    runs = {name: [] for name in subjects}
    for number in range(COLD_RUNS):
        for name, subject in subjects.items():
            # Only the first run of each goes on to warm calls.
            runs[name].append(measure(*subject, 1 + WARM_CALLS if number == 0 else 1))
    return {
        name: {
            "cold_ms": 1000 * statistics.median(run[0] for run in measured),
            "warm_ms": 1000 * statistics.median(measured[0][1]),
            "memory_mib": max(run[2] for run in measured),
        }
        for name, measured in runs.items()
    }


def intake_per_second(stack: Stack, at_once: int) -> float:
    calls = 40 * at_once if at_once > 1 else 40
    look = lambda _: stack.call("GET", "/api/v1/builds/1")[0]
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        started = time.monotonic()
        statuses = list(pool.map(look, range(calls)))
    assert set(statuses) == {200}, statuses
    return calls / (time.monotonic() - started)


def requests_per_minute(stack: Stack, at_once: int) -> float:
    one = lambda _: stack.complete(stack.add(stack.example("lantern:v0.1.0")))
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        started = time.monotonic()
        list(pool.map(one, range(REQUESTS)))
    return 60 * REQUESTS / (time.monotonic() - started)


class Collector(http.server.ThreadingHTTPServer):
    """Takes traces over OTLP, and counts what came."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Taken)
        self.requests = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def settings(self) -> dict[str, str]:
        return {"IIB_OTEL_TRACING": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server_port}"}


class Taken(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.requests += 1
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def traced(stack: Stack) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float]]]:
    """Without and with traces: cold starts of the functions (ms), and requests per minute, each pair in turn."""
    collector = Collector()
    names = {"intake": "api-get", "pin": "sqs-pin", "mutate": "sqs-mutate", "push": "sqs-push"}
    cold: dict[str, tuple[list, list]] = {name: ([], []) for name in names}
    for _ in range(COLD_RUNS):
        for name, document in names.items():
            binary, environment = ROOT / "target" / "lambda" / name / "bootstrap", stack.environment(name)
            for times, settings in zip(cold[name], ({}, collector.settings())):
                times.append(1000 * measure(binary, environment | settings, event(document), 1)[0])
    rates = []
    for _ in range(TRACED_RUNS):
        pair = []
        for settings in ({}, collector.settings()):
            with Configured(stack, names, settings):
                stack.complete(stack.add(stack.example("lantern:v0.1.0")))
                pair.append(requests_per_minute(stack, 4))
        rates.append(tuple(pair))
    if not collector.requests:
        sys.exit("bench: no traces came")
    collector.shutdown()
    return {name: tuple(map(statistics.median, times)) for name, times in cold.items()}, rates


class Configured:
    """Functions with settings beside their own, meanwhile."""

    def __init__(self, stack: Stack, names, settings: dict[str, str]):
        self.stack, self.settings = stack, settings
        of = lambda name: stack.functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        self.known = {name: of(name) for name in (f"iib-{name}" for name in names)}

    def __enter__(self):
        self.set(self.settings)

    def __exit__(self, *_):
        self.set({})

    def set(self, settings: dict[str, str]):
        for name, known in self.known.items():
            self.stack.functions.update_function_configuration(FunctionName=name, Environment={"Variables": known | settings})


def billed(stack: Stack) -> dict:
    """What the platform would bill for each event of a stage, from its own report lines."""
    found = {}
    for name in ("intake", "pin", "mutate", "push"):
        durations = re.findall(r"Billed Duration: (\d+) ms", stack.log_of(name))
        found[name] = statistics.median(int(duration) for duration in durations)
    return found


def main() -> int:
    stack = Stack(Path(sys.argv[1]))
    measured = functions(stack, Path(sys.argv[2]))
    nothing = measured["(empty)"]
    print("| Function | cold ms | cold / empty | warm ms | warm / empty | MiB |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, one in measured.items():
        ratio = lambda what: one[what] / nothing[what]
        print(
            f"| {name} | {one['cold_ms']:.0f} | {ratio('cold_ms'):.1f} | {one['warm_ms']:.1f} |"
            f" {ratio('warm_ms'):.1f} | {one['memory_mib']:.0f} |"
        )
    print("\n| At once | API calls / s | ratio to 1 | requests / min | ratio to 1 |")
    print("|---:|---:|---:|---:|---:|")
    rates = {n: (intake_per_second(stack, n), requests_per_minute(stack, n)) for n in (1, 4, 16)}
    for n, (calls, requests) in rates.items():
        print(f"| {n} | {calls:.0f} | {calls / rates[1][0]:.1f} | {requests:.0f} | {requests / rates[1][1]:.1f} |")
    cold, rates = traced(stack)
    print("\n| Function | cold ms | cold ms, with traces | more |")
    print("|---|---:|---:|---:|")
    for name, (without, with_traces) in cold.items():
        print(f"| {name} | {without:.0f} | {with_traces:.0f} | {with_traces - without:.1f} |")
    ratio = statistics.median(with_traces / without for without, with_traces in rates)
    print(f"\nRequests per minute with traces, of those without, four at once, median of {TRACED_RUNS} pairs: {ratio:.3f}")
    platform = ", ".join(f"{name} {median:.0f} ms" for name, median in billed(stack).items())
    print(f"\nMedian durations as the emulator bills them: {platform}")
    print(f"One run, {os.cpu_count()} cores, ministack. These are no figures of AWS.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
