#!/usr/bin/env python3
"""Measures the cases of a bundle beside torch: cuBLAS, scaled_dot_product_attention, torch.compile; and the machine's ceilings.

usage: peers.py [--device cuda:0] [--rounds 3] [--filter REGEX] [--out FOLDER] BUNDLE TFRUN

Ours and the peer's turn is taken by turns, `rounds` times, and medians are compared. The time of a step is the difference of two entry
points over the steps that one has more; the peer's is of a CUDA graph of as many. Prints a table and writes results.md and
results.json to FOLDER. Without torch only ours are measured. Status 1 if a measurement failed.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import sys

import machine

try:
    import torch_peers
except ImportError as error:
    torch_peers = None
    MISSING = error.name


def entry_time(arguments, artifact, entry):
    """Milliseconds of a call."""
    out, message = machine.tfrun(arguments.tfrun, artifact, arguments.device, ["--bench", "--entry=" + entry, "--json"])
    if message:
        raise RuntimeError(message)
    return json.loads(out)[0]["milliseconds"]["median"]


def step_time(arguments, artifact, case):
    total = sum(sign * (entry_time(arguments, artifact, more) - entry_time(arguments, artifact, less))
                for less, more, sign in case["pairs"])  # fmt: skip
    return total / case["count"]


def decode_rates(arguments, artifact):
    """Tokens per second of pp512 and tg64."""
    out, message = machine.tfrun(arguments.tfrun, artifact, arguments.device, ["--bench", "--json"])
    if message:
        raise RuntimeError(message)
    return {test["test"]: test["tokens_per_second"]["median"] for test in json.loads(out)}


def by_turns(arguments, ours, peer):
    """Medians of both, and why there is none of the peer."""
    mine, theirs, why = [], [], None
    for _ in range(arguments.rounds):
        mine.append(ours())
        if peer and not why:
            try:
                theirs.append(peer())
            except Exception as error:  # noqa: BLE001: as in make_peer
                why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return statistics.median(mine), statistics.median(theirs) if theirs and not why else None, why


def make_peer(arguments, spec):
    """(label, a function that gives milliseconds of a step), or (why there is none, None)."""
    if not torch_peers:
        return "-", None
    try:
        return torch_peers.make(spec, arguments.device)
    except Exception as error:  # noqa: BLE001: whatever a peer cannot do is named, and the rest goes on
        return "none: " + (str(error).strip().splitlines() or [type(error).__name__])[0][:120], None


def measure_case(arguments, name, arch, artifact, case, ceilings):
    label, peer = make_peer(arguments, case["peer"])
    mine, theirs, why = by_turns(arguments, lambda: step_time(arguments, artifact, case), peer)
    unit, work = ("TFLOP/s", case["flops"] / 1e9) if "flops" in case else ("GB/s", case["bytes"] / 1e6)
    row = {"case": name, "arch": arch, "ms": mine, "unit": unit, "peer": f"none: {why}" if why else label}
    if mine <= 0:
        row["note"] = "the difference drowned in noise"
        if theirs:
            row.update(peer_ms=theirs, peer_rate=work / theirs)
        return row
    row["rate"] = work / mine
    if theirs:
        row.update(peer_ms=theirs, peer_rate=work / theirs, ratio=theirs / mine)
    if ceilings.get(unit):
        row["of_ceiling"] = row["rate"] / ceilings[unit]
    return row


def measure_model(arguments, name, arch, artifact):
    label, peer = "-", None
    config = os.path.join(arguments.bundle, "models", name, "config.json")
    if os.path.exists(config):
        with open(config, encoding="utf-8") as file:
            label, peer = make_peer(arguments, {"op": "llama", "config": json.load(file)})
    prompts = []

    def ours():
        rates = decode_rates(arguments, artifact)
        prompts.append(rates.get("pp512") or rates.get("pp128"))
        return 1e3 / rates["tg64"]

    mine, theirs, why = by_turns(arguments, ours, peer)
    row = {"case": f"{name} decode", "arch": arch, "ms": mine, "unit": "tokens/s", "rate": 1e3 / mine,
           "peer": f"none: {why}" if why else label}  # fmt: skip
    if theirs:
        row.update(peer_ms=theirs, peer_rate=1e3 / theirs, ratio=theirs / mine)
    rate = statistics.median(p for p in prompts if p)
    return [row, {"case": f"{name} prompt", "arch": arch, "ms": 1e3 / rate, "unit": "tokens/s", "rate": rate, "peer": "-"}]


HEADER = ("case", "kernels", "ms", "rate", "peer", "peer ms", "peer rate", "of peer", "of ceiling")


def cells(row):
    if "error" in row:
        return [row["case"], row["arch"], "-", "FAILED: " + row["error"], "-", "-", "-", "-", "-"]
    rate = f"{row['rate']:.1f} {row['unit']}" if "rate" in row else row["note"]
    return [row["case"], row["arch"], f"{row['ms']:.4f}", rate, row["peer"],
            *(f"{row[key]:{form}}" if key in row else "-"
              for key, form in (("peer_ms", ".4f"), ("peer_rate", ".1f"), ("ratio", ".2f"), ("of_ceiling", ".2f")))]  # fmt: skip


def show(title, ceilings, rows):
    table = [HEADER, *map(cells, rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADER))]
    print(title)
    print("ceilings: " + ", ".join(f"{value:.1f} {unit}" for unit, value in ceilings.items()) if ceilings else "ceilings: not measured")
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def write(arguments, title, ceilings, rows, versions):
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump({"title": title, "versions": versions, "ceilings": ceilings, "rows": rows}, file, indent=1)
    lines = [f"## {title}", "", f"`test/gpu/run.sh`; {versions}. Medians of {arguments.rounds} rounds in turn; \"of peer\" is our rate over the peer's."]
    lines += ["Ceilings of the same run: " + ", ".join(f"{v:.1f} {u}" for u, v in ceilings.items()) + "."] if ceilings else []
    for line in (HEADER, ["---"] * len(HEADER), *map(cells, rows)):
        lines += ([""] if line is HEADER else []) + ["| " + " | ".join(cell.replace("|", "/") for cell in line) + " |"]
    with open(os.path.join(arguments.out, "results.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def attempt(name, arch, measure):
    try:
        result = measure()
    except (RuntimeError, KeyError, ValueError) as error:
        result = {"case": name, "arch": arch, "error": str(error)}
    print(f"measured {name} ({arch})", file=sys.stderr, flush=True)
    return result if isinstance(result, list) else [result]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("tfrun")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--filter", default="", help="cases whose name matches")
    parser.add_argument("--out", default=".", help="where results.md and results.json go")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        machine.fail(f"expected --rounds to be 1 or more, but got {arguments.rounds}")
    described = machine.read_cases(arguments.bundle)
    cases, small = described["bench"], described["small"]
    if not torch_peers:
        print(f"peers.py: there is no {MISSING} here: only our own kernels are measured")
    elif not torch_peers.usable(arguments.device):
        print("peers.py: this torch has no CUDA: only our own kernels are measured")
        globals()["torch_peers"] = None
    ceilings = torch_peers.ceilings(arguments.device, small) if torch_peers else {}
    folder, rows = os.path.join(arguments.bundle, "bench"), []
    for name, case in cases.items():
        for arch, artifact in machine.artifacts(folder, name, arguments.device):
            if re.search(arguments.filter, name):
                rows += attempt(name, arch, lambda: measure_case(arguments, name, arch, artifact, case, ceilings))
    for path in sorted(os.listdir(folder)):
        name = path.split(".")[0]
        if name not in cases and path.endswith(".tfa") and re.search(arguments.filter, name):
            rows += attempt(name, "", lambda: measure_model(arguments, name, "", os.path.join(folder, path)))
    if not rows:
        machine.fail(f"nothing to measure for {arguments.device} matches '{arguments.filter}'")
    title = f"{datetime.date.today()}: {machine.name_of(arguments.device)}" + (
        " (small sizes, to try the scripts: these figures mean nothing)" if small else "")  # fmt: skip
    versions = torch_peers.versions() if torch_peers else "no torch"
    show(title, ceilings, rows)
    write(arguments, title, ceilings, rows, versions)
    return 1 if any("error" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
