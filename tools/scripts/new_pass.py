#!/usr/bin/env python3
"""Adds a pass to passes/: its five places, as README.md ("How to add a pass") describes them.

usage: new_pass.py FuseSwiGLU --folder Fusion [--flag fuse-swiglu] [--summary "Fuse SwiGLU into one op"]

Writes passes/Fusion/FuseSwiGLU.cpp and test/passes/Fusion/fuse-swiglu.mlir, and adds the def to passes/Passes.td and
the source to passes/CMakeLists.txt. What it writes builds and passes its test: a rewrite of relu(relu(x)) to relu(x)
stands where the pass's own will. Nothing is written where a place is taken. --flag says where the words of an acronym
end; by default they are taken from the capitals (fuse-swi-glu).
"""

import argparse
import pathlib
import re
import sys

RULE = "//===----------------------------------------------------------------------===//"
LICENSE = f"""//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
{RULE}
"""

DEFINITION = """def {name}Pass : Pass<"transformer-{flag}", "::mlir::ModuleOp"> {{
  let summary = "{summary}";
  let description = [{{
    A second relu changes nothing.

    ```mlir
    func.func @twice(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {{
      %0 = transformer.activation relu %x : tensor<4x8xf32> -> tensor<4x8xf32>
      %1 = transformer.activation relu %0 : tensor<4x8xf32> -> tensor<4x8xf32>
      return %1 : tensor<4x8xf32>
    }}
    ```
    becomes
    ```mlir
    func.func @twice(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {{
      %0 = transformer.activation relu %x : tensor<4x8xf32> -> tensor<4x8xf32>
      return %0 : tensor<4x8xf32>
    }}
    ```
  }}];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}}

"""

SOURCE = """//
//   relu(relu(x)) -> relu(x)
//
// Say here where in the pipeline it runs, and why there.
//
{rule}

#include "passes/Passes.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-{flag}"

namespace mlir::transformer {{
#define GEN_PASS_DEF_{upper}PASS
#include "passes/Passes.h.inc"
}} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {{

/// Pattern: relu(relu(x)) -> relu(x)
struct DropSecondRelu : OpRewritePattern<ActivationOp> {{
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ActivationOp op, PatternRewriter &rewriter) const override {{
    if (op.getKind() != ActivationKind::Relu)
      return rewriter.notifyMatchFailure(op, "it is no relu");
    auto inner = op.getInput().getDefiningOp<ActivationOp>();
    if (!inner || inner.getKind() != ActivationKind::Relu)
      return rewriter.notifyMatchFailure(op, "its input is no relu");
    if (inner.getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "it has another type than its input");
    rewriter.replaceOp(op, inner);
    return success();
  }}
}};

void populate{name}Patterns(RewritePatternSet &patterns) {{
  patterns.add<DropSecondRelu>(patterns.getContext());
}}

struct {name} : transformer::impl::{name}PassBase<{name}> {{
  void runOnOperation() override {{
    RewritePatternSet patterns(&getContext());
    populate{name}Patterns(patterns);
    applyOnce(getOperation(), std::move(patterns));
  }}
}};

}} // namespace
"""

TEST = """// RUN: tfopt %s --transformer-{flag} | FileCheck %s

// The second of two does nothing.
// CHECK-LABEL: func.func @twice
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>)
// CHECK-NEXT: %[[Y:.*]] = transformer.activation relu %[[X]]
// CHECK-NEXT: return %[[Y]]
func.func @twice(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {{
  %0 = transformer.activation relu %x : tensor<4x8xf32> -> tensor<4x8xf32>
  %1 = transformer.activation relu %0 : tensor<4x8xf32> -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}}

// Declined: the first is another activation.
// CHECK-LABEL: func.func @after_silu
// CHECK: transformer.activation silu
// CHECK: transformer.activation relu
func.func @after_silu(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {{
  %0 = transformer.activation silu %x : tensor<4x8xf32> -> tensor<4x8xf32>
  %1 = transformer.activation relu %0 : tensor<4x8xf32> -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}}
"""


def fail(message):
    sys.exit(f"new_pass.py: error: {message}")


def kebab_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def banner(name, what):
    head = f"//===- {name} - {what} "
    return head + "-" * max(1, 74 - len(head)) + "===//\n" + LICENSE


def with_definition(text, folder, definition, table):
    """Passes.td with the definition at the end of its folder's section, which is made where it is absent."""
    end = text.rfind("\n#endif")
    if end < 0:
        fail(f"{table} does not end with its #endif")
    section = f"{RULE}\n// {folder}\n{RULE}\n"
    begin = text.find(section)
    if begin < 0:
        return text[: end + 1].rstrip("\n") + f"\n\n{section}\n{definition}" + text[end + 1 :]
    following = text.find(f"\n{RULE}\n", begin + len(section))
    place = (following if 0 <= following < end else end) + 1
    return text[:place].rstrip("\n") + "\n\n" + definition + text[place:]


def with_source(text, source, lists):
    """CMakeLists.txt with the source: those of a folder stand together, sorted, folders after single files."""
    found = re.search(r"(  SOURCES\n)((?:    \S+\n)+)", text)
    if not found:
        fail(f"{lists} has no list SOURCES")
    lines = sorted(set(found[2].split()) | {source}, key=lambda path: ("/" in path, path))
    return text[: found.start(2)] + "".join(f"    {line}\n" for line in lines) + text[found.end(2) :]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="in camel case, without 'Pass'")
    parser.add_argument("--folder", required=True, help="of passes/: Fusion, Attention, Quantization, …")
    parser.add_argument("--flag", help="the name in kebab case, without 'transformer-'")
    parser.add_argument("--summary", default="Drop the second of two relus", help="one line, in the imperative")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    options = parser.parse_args()

    name, folder, root = options.name, options.folder, options.root
    if not re.fullmatch(r"([A-Z][A-Za-z0-9]*)", name) or name.endswith("Pass"):
        fail(f"expected a name in camel case that does not end in Pass, but got {name}")
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", folder):
        fail(f"expected a folder in camel case, but got {folder}")
    flag = options.flag or kebab_case(name)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", flag) or flag.replace("-", "") != name.lower():
        fail(f"expected a flag that is {name} in kebab case, but got {flag}")
    if re.search(r'["\\\n]', options.summary):
        fail("expected a summary of one line without quotes and backslashes")

    table, lists = root / "passes/Passes.td", root / "passes/CMakeLists.txt"
    source, test = root / f"passes/{folder}/{name}.cpp", root / f"test/passes/{folder}/{flag}.mlir"
    for path in (table, lists):
        if not path.is_file():
            fail(f"{path} does not exist; give the tree with --root")
    for path in (source, test):
        if path.exists():
            fail(f"{path} exists; choose another name")
    definitions = table.read_text()
    if re.search(rf"^def {name}Pass\b", definitions, re.MULTILINE) or f'"transformer-{flag}"' in definitions:
        fail(f"{table} has this pass; choose another name")

    words = dict(name=name, flag=flag, upper=name.upper(), summary=options.summary, rule=RULE)
    changes = {
        table: with_definition(definitions, folder, DEFINITION.format(**words), table),
        lists: with_source(lists.read_text(), f"{folder}/{name}.cpp", lists),
        source: banner(f"{name}.cpp", options.summary[:1].lower() + options.summary[1:]) + SOURCE.format(**words),
        test: TEST.format(**words),
    }
    for path, text in changes.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path.relative_to(root))
    print(f"next: the pass's own rewrite, its numeric test, its place in the pipeline (README.md); then ./dev test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
