#!/usr/bin/env python3
"""Hands event documents to functions with cargo-lambda (`infra/local/stack invoke`).

Each function is the deployed binary as a process here, in the deployed function's environment,
behind the Runtime API of `cargo lambda watch`; the document comes by `cargo lambda invoke
--data-file`. Arguments: the folder of the stack, a free port; then a function and a document, or
nothing for every document of events/. Prints what each answers. Exit code 1: one did not answer.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from end_to_end import DOCUMENTS, ROOT, Stack, until

# The first invocation waits for the process, too.
PATIENCE = 60


def main() -> int:
    stack, port, chosen = Stack(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3:]
    if len(chosen) not in (0, 2):
        sys.exit("invoke: give a function and a document, or nothing for all of them")
    pairs = [(name, ROOT / "events" / f"{document}.json") for name, document in DOCUMENTS]
    if chosen:
        known = sorted({name for name, _ in DOCUMENTS})
        if chosen[0] not in known:
            sys.exit(f"invoke: there is no function {chosen[0]}; there are {', '.join(known)}")
        if not Path(chosen[1]).is_file():
            sys.exit(f"invoke: there is no file {chosen[1]}")
        pairs = [(chosen[0], Path(chosen[1]))]
    with contextlib.ExitStack() as ended, tempfile.TemporaryDirectory() as folder:
        run(ended, Path(folder) / "watch.log", os.environ, "cargo-lambda", "lambda", "watch", "--only-lambda-apis",
            "-A", "127.0.0.1", "-P", str(port), "--manifest-path", str(ROOT / "Cargo.toml"))
        until("cargo lambda watch listens", lambda: listens(port), bool)
        for name in dict.fromkeys(name for name, _ in pairs):
            environment = stack.environment(name) | {
                "AWS_LAMBDA_RUNTIME_API": f"http://127.0.0.1:{port}/.rt/{name}", "AWS_LAMBDA_FUNCTION_NAME": name,
                "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            }
            run(ended, Path(folder) / name, environment, str(ROOT / "target" / "lambda" / name / "bootstrap"))
        failed = [name for name, document in pairs if not invoke(port, name, document, Path(folder) / name)]
    return 1 if failed else 0


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def run(ended: contextlib.ExitStack, log: Path, environment, *command: str) -> None:
    process = subprocess.Popen(command, env=environment, stdout=log.open("wb"), stderr=subprocess.STDOUT)
    ended.callback(process.wait)
    ended.callback(process.terminate)


def invoke(port: int, name: str, document: Path, log: Path) -> bool:
    command = ["cargo-lambda", "lambda", "invoke", name, "-A", "127.0.0.1", "-P", str(port), "--data-file", str(document)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        answer, worked = done.stdout.strip() or done.stderr.strip(), done.returncode == 0
    except subprocess.TimeoutExpired:
        answer, worked = f"no answer in {PATIENCE} s\n{log.read_text()[-2000:]}", False
    print(f"{name:12} {document.name:20} {answer}", flush=True)
    return worked


if __name__ == "__main__":
    sys.exit(main())
