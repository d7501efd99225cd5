#!/usr/bin/env python3
"""Runs the Rust tests as `cargo test --workspace` does, but several test programs at a time: many of them wait for servers more than they compute.

usage: run_rust.py [cargo options…]        JOBS programs at a time (environment; 4)
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

JOBS = int(os.environ.get("JOBS", "4"))
# The slowest begin first, so that none of them is left over at the end.
SLOW = ["barbican", "vault", "aws", "kmip", "engine", "keyring"]
TIMEOUT_SECONDS = 1200


def build(options):
    """The test programs, each with the directory it runs in."""
    command = ["cargo", "test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    programs = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable") and message["profile"]["test"]:
            programs[message["executable"]] = Path(message["manifest_path"]).parent
    return sorted(programs.items(), key=lambda program: next((place for place, name in enumerate(SLOW) if name in str(program[1])), len(SLOW)))


def run(program, directory):
    begun = time.monotonic()
    try:
        done = subprocess.run([program], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_SECONDS, errors="replace")
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, output = "timeout", (late.stdout or b"").decode(errors="replace")
    return status, output, time.monotonic() - begun


def main():
    programs = build(sys.argv[1:])
    failed, passed = [], 0
    with ThreadPoolExecutor(JOBS) as pool:
        futures = {pool.submit(run, *program): program for program in programs}
        for future in as_completed(futures):
            program, directory = futures[future]
            status, output, seconds = future.result()
            name = f"{directory.name}/{Path(program).name.rsplit('-', 1)[0]}"
            closing = next((line for line in reversed(output.splitlines()) if line.startswith("test result:")), "no result")
            print(f"{name} ({seconds:.0f} s): {closing}", flush=True)
            passed += sum(line.startswith("test ") and line.endswith(" ... ok") for line in output.splitlines())
            if status != 0:
                failed.append(name)
                print(output, flush=True)
    documentation = subprocess.run(["cargo", "test", "--workspace", "--doc", "--quiet", *sys.argv[1:]])
    if documentation.returncode:
        failed.append("documentation")
    print(f"Rust: {passed} tests passed in {len(programs)} programs; failed: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


main()
