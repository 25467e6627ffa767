#!/usr/bin/env python3
"""Builds functions anew whenever their sources change, and gives those that came out differently to a stack on the emulator.

Goes on until it is ended (Ctrl-C). What does not compile is told, and the stack keeps what it has. Needs boto3 and
watchfiles.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from watchfiles import DefaultFilter, watch

from package import pack

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / name for name in ("functions", "shared", "Cargo.toml", "Cargo.lock")]


class Sources(DefaultFilter):
    """What functions are made of; not their tests."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, "tests", "benches", "target")


class Stack:
    """The functions of a stack, and what was last built of them."""

    def __init__(self, folder: Path, endpoint: str, built: Path):
        outputs = json.loads((folder / "outputs.json").read_text(encoding="utf-8"))
        suffix = "FunctionName"
        self.names = {dashed(key.removesuffix(suffix)): value for key, value in outputs.items() if key.endswith(suffix)}
        self.folder = folder / "watch"
        self.built = built
        self.functions = boto3.client("lambda", endpoint_url=endpoint)
        self.known: dict[str, str] = {}

    def build(self) -> bool:
        """Whether that worked; cargo says why not."""
        packages = [f"--package=iib-{name}" for name in self.names]
        return subprocess.run(["cargo", "build", "--quiet", "--locked", "--bins", *packages], cwd=ROOT, check=False).returncode == 0

    def changed(self) -> list[str]:
        """The functions whose binaries are others than when this was last asked."""
        now = {name: digest(self.built / name) for name in self.names}
        before, self.known = self.known, now
        return [name for name in now if now[name] != before.get(name)]

    def deploy(self, name: str) -> None:
        pack(name, self.built / name, self.folder / name / "bootstrap", self.folder, unstripped=True, level=1)
        package = (self.folder / f"{name}.zip").read_bytes()
        version = self.functions.update_function_code(FunctionName=self.names[name], ZipFile=package, Publish=True)["Version"]
        for alias in self.functions.list_aliases(FunctionName=self.names[name])["Aliases"]:
            self.functions.update_alias(FunctionName=self.names[name], Name=alias["Name"], FunctionVersion=version)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the stack's")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--target", type=Path, required=True, help="where cargo builds")
    arguments = parser.parse_args()
    stack = Stack(arguments.folder, arguments.endpoint, arguments.target / "debug")
    if not stack.build():
        print("watch: it does not compile; mend that first", file=sys.stderr)
        return 1
    stack.changed()
    print(f"watching {', '.join(path.name for path in SOURCES)}", flush=True)
    for _ in watch(*SOURCES, watch_filter=Sources(), raise_interrupt=False):
        began = time.monotonic()
        if not stack.build():
            print("not deployed: it does not compile", flush=True)
            continue
        changed = stack.changed()
        try:
            for name in changed:
                stack.deploy(name)
        except (BotoCoreError, ClientError) as error:
            print(f"watch: the stack takes nothing any more: {error}", file=sys.stderr)
            return 1
        print(f"{', '.join(changed) or 'nothing'} deployed, {time.monotonic() - began:.1f} s", flush=True)
    return 0


def dashed(name: str) -> str:
    """`DeadLetter` as `dead-letter`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
