#!/usr/bin/env python3
"""Checks that each pass has one name in five places.

For `def FuseSwiGLUPass` in passes/Passes.td (or any Passes.td under passes/ or codegen/) that is
  the flag          "transformer-fuse-swiglu", the name in kebab case
  the source        FuseSwiGLU.cpp, somewhere beside or below the Passes.td
  in it             #define DEBUG_TYPE "transformer-fuse-swiglu" and GEN_PASS_DEF_FUSESWIGLUPASS
  the test          test/<folder of the source>/fuse-swiglu.mlir

usage: check_names.py [--root FOLDER]
"""

import argparse
import pathlib
import re
import sys

PASS = re.compile(r'^def\s+(\w+)\s*:\s*(?:Interface)?Pass<\s*"([^"]*)"', re.MULTILINE)
GENERATED = re.compile(r"^#define GEN_PASS_DEF_(\w+)", re.MULTILINE)


def check_pass(root, folder, name, flag):
    """Problems of one pass: `name` is the def's, `flag` the command line's."""
    if not name.endswith("Pass"):
        yield f"def {name} should end in 'Pass'"
        return
    stem = name[: -len("Pass")]
    kebab = flag.removeprefix("transformer-")
    # Where an acronym's words end is the author's choice: SwiGLU is swiglu.
    if kebab == flag or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kebab) or kebab.replace("-", "") != stem.lower():
        yield f'flag "{flag}" is not "transformer-" and {stem} in kebab case'
        return
    sources = sorted((root / folder).glob(f"**/{stem}.cpp"))
    if len(sources) != 1:
        yield f"expected one {stem}.cpp under {folder}, but found {len(sources)}"
        return
    source = sources[0].relative_to(root)
    text = sources[0].read_text()
    if f'#define DEBUG_TYPE "{flag}"' not in text:
        yield f'{source} lacks #define DEBUG_TYPE "{flag}"'
    if f"#define GEN_PASS_DEF_{name.upper()}\n" not in text:
        yield f"{source} lacks #define GEN_PASS_DEF_{name.upper()}"
    test = pathlib.Path("test") / source.parent / f"{kebab}.mlir"
    if not (root / test).is_file():
        yield f"{test} is missing"
    elif flag not in (root / test).read_text():
        yield f"{test} does not run --{flag}"


def problems(root):
    """Every problem of the tree, with the number of passes seen."""
    count, found, declared = 0, [], set()
    for top in ("passes", "codegen"):
        for table in sorted((root / top).glob("**/Passes.td")):
            folder = table.parent.relative_to(root)
            for name, flag in PASS.findall(table.read_text()):
                count += 1
                declared.add(name.upper())
                found += [f"{table.relative_to(root)}: {name}: {p}" for p in check_pass(root, folder, name, flag)]
        for source in sorted((root / top).glob("**/*.cpp")):
            for name in GENERATED.findall(source.read_text()):
                if name not in declared:
                    found.append(f"{source.relative_to(root)}: no Passes.td declares {name}")
    return count, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    count, found = problems(parser.parse_args().root)
    for problem in found:
        print(problem, file=sys.stderr)
    print(f"{count} passes, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
