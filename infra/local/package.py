#!/usr/bin/env python3
"""Packs the functions' binaries for a deployment and holds their sizes against the limits.

For each name the binary of that name goes to target/lambda/<name>/bootstrap, where template.yaml
has it, and with --packages into <folder>/<name>.zip. Prints a line for each. Exit code 1: a binary
is missing or too large, is for another processor, or needs a newer C library than the one it will meet.
"""

import argparse
import io
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

MIB = 1024 * 1024
# What a cold start has to load. Lambda itself takes 50 MB zipped; these are ours.
LIMIT_BINARY = 20 * MIB
LIMIT_ZIP = 10 * MIB
# The C library of Amazon Linux 2023, where the functions run.
GLIBC = (2, 34)
# As ELF numbers processors.
MACHINES = {"x86_64": 62, "arm64": 183}
# The same bytes give the same package, and an unchanged function is not deployed again.
EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--binaries", type=Path, required=True, help="folder with the binaries")
    parser.add_argument("--packages", type=Path, help="folder for the zip files")
    parser.add_argument("--architecture", choices=MACHINES, required=True, help="the processor that they are for")
    parser.add_argument("--cargo-lambda", action="store_true", help="binaries are <name>/bootstrap, as cargo-lambda has them")
    parser.add_argument("--no-limits", action="store_true", help="for builds of other profiles, which are stripped here")
    parser.add_argument("names", nargs="+", metavar="FUNCTION")
    arguments = parser.parse_args()
    root = Path(__file__).parents[2] / "target" / "lambda"
    too_large, unfit = [], []
    for name in arguments.names:
        binary = arguments.binaries / name
        if arguments.cargo_lambda:
            binary = binary / "bootstrap"
        if not binary.is_file():
            print(f"package: there is no {binary}; build it first", file=sys.stderr)
            return 1
        machine, glibc = needs(binary.read_bytes())
        if machine != MACHINES[arguments.architecture]:
            unfit.append(f"{name} is not built for {arguments.architecture}")
        elif glibc > GLIBC and not arguments.no_limits:
            unfit.append(f"{name} needs glibc {dotted(glibc)}, and there is {dotted(GLIBC)}: build with cargo-lambda (infra/build --cargo-lambda), or on Amazon Linux 2023")
        if unfit:
            # Nothing is left that a deployment could take.
            (root / name / "bootstrap").unlink(missing_ok=True)
            continue
        # What is not as deployed is quickly packed.
        level = 1 if arguments.no_limits else 9
        unstripped = arguments.no_limits and not arguments.cargo_lambda
        size, zipped = pack(name, binary, root / name / "bootstrap", arguments.packages, unstripped, level)
        print(f"{name:12} {size / MIB:6.2f} MiB stripped, {zipped / MIB:5.2f} MiB zipped, glibc {dotted(glibc)}")
        if size > LIMIT_BINARY or zipped > LIMIT_ZIP:
            too_large.append(name)
    if too_large and not arguments.no_limits:
        limits = f"{LIMIT_BINARY // MIB} MiB stripped and {LIMIT_ZIP // MIB} MiB zipped"
        print(f"package: larger than {limits}: {', '.join(too_large)}", file=sys.stderr)
        return 1
    for fault in unfit:
        print(f"package: {fault}", file=sys.stderr)
    return 1 if unfit else 0


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def needs(binary: bytes) -> tuple[int, tuple[int, ...]]:
    """The processor a program (ELF, 64 bits, little-endian) is for, and the newest glibc whose symbols it asks for; marks
    that the loader passes over (weak) do not count. Processor 0 for what is no such program."""
    if not binary.startswith(b"\x7fELF\x02\x01"):
        return 0, ()
    machine, = struct.unpack_from("<H", binary, 18)
    sections, = struct.unpack_from("<Q", binary, 40)
    size, count = struct.unpack_from("<HH", binary, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", binary, sections + size * at) for at in range(count)]
    newest: tuple[int, ...] = (2, 0)
    for _, kind, _, _, start, _, linked, libraries, _, _ in headers:
        if kind != 0x6FFFFFFE:  # SHT_GNU_verneed: versions that it needs, by library
            continue
        names = headers[linked][4]
        for _ in range(libraries):
            _, marks, _, first, following = struct.unpack_from("<HHIII", binary, start)
            at = start + first
            for _ in range(marks):
                _, flags, _, name, step = struct.unpack_from("<IHHII", binary, at)
                text = binary[names + name:binary.index(b"\0", names + name)].decode()
                library, _, version = text.partition("_")
                if library == "GLIBC" and version[:1].isdigit() and not flags & 2:
                    newest = max(newest, tuple(map(int, version.split("."))))
                at += step
            start += following
    return machine, newest


def zipped(binary: bytes, level: int) -> bytes:
    """A package of a function: the same binary gives the same bytes."""
    entry = zipfile.ZipInfo("bootstrap", EPOCH)
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(entry, binary, compresslevel=level)
    return content.getvalue()


def pack(name: str, binary: Path, bootstrap: Path, packages: Path | None, unstripped: bool, level: int) -> tuple[int, int]:
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(binary, bootstrap)
    if unstripped and shutil.which("strip"):
        subprocess.run(["strip", str(bootstrap)], check=True)
    bootstrap.chmod(0o755)
    folder = packages or bootstrap.parent
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / f"{name}.zip"
    package.write_bytes(zipped(bootstrap.read_bytes(), level))
    sizes = bootstrap.stat().st_size, package.stat().st_size
    if packages is None:
        os.remove(package)
    return sizes


if __name__ == "__main__":
    sys.exit(main())
