"""Every module of test/gpu/cases.py is made by the kernels it is named after, for each architecture; what is
measured has as many launches as its figures are divided by; every template of the GPU has a module.

usage: check_gpu_cases.py TFOPT CASES.py
"""

import os
import re
import subprocess
import sys
import tempfile

# Its kernels come of no dispatch: they advance caches, and the IR looked at has none of them yet.
HELPERS = {"tasks"}
# Compared by the text that pack.sh carries along.
DRAWS = {"sample"}


def compile(tfopt, source, arch, *options):
    command = [tfopt, source, "--target=cuda", "--arch=" + arch, "--gpu-kernels=newest", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def templates_of(text):
    """The templates of the kernels in the IR after the phase `outline`."""
    return set(re.findall(r"xgpu\.config = #xgpu\.config<\"?(\w+)", text))


def launches_of(text):
    entries = re.split(r"func\.func @xfm_entry_(\w+)\(", text)[1:]
    return [{"name": name, "dispatches": [{"count": body.split("func.func")[0].count("transformer.launch @")}]}
            for name, body in zip(entries[::2], entries[1::2])]  # fmt: skip


def main(tfopt, path):
    sys.path.insert(0, os.path.dirname(path))
    import bench_cases
    import cases

    groups, problems, seen, count = cases.groups(), [], set(), 0
    with tempfile.TemporaryDirectory() as folder:
        cases.write(folder)
        for kind, names in (("check", groups), ("bench", bench_cases.CASES)):
            for name in names:
                source = os.path.join(folder, kind, name + ".mlir")
                for number, arch in enumerate(cases.ARCHS):
                    expected = set(groups[name][number] if kind == "check" else bench_cases.TEMPLATES[name][number])
                    text = compile(tfopt, source, arch, "--stop-at=outline")
                    found = templates_of(text)
                    if found != expected - HELPERS:
                        problems.append(f"{name} for {arch}: {sorted(found)} instead of {sorted(expected)}")
                    seen |= found
                    count += 1
                # What the kernels become after this is common to all modules, and slow.
                if kind == "check":
                    compile(tfopt, source, cases.ARCHS[-1], "--stop-at=kernels")
                elif problem := bench_cases.launches_missing(name, launches_of(text)):
                    problems.append(problem)
    readme = os.path.join(os.path.dirname(path), "../../codegen/GPU/README.md")
    with open(readme, encoding="utf-8") as file:
        listed = set(re.findall(r"^\| `(\w+)` \|", file.read(), re.M))
    problems += [f"no case is made by {template}" for template in sorted(listed - seen - DRAWS)]
    for problem in problems:
        print(problem)
    print(f"{count} modules, {len(listed)} templates, {len(problems)} problems")
    return 1 if problems or not listed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
