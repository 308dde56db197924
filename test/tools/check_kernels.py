#!/usr/bin/env python3
"""Reads assembly of kernels and fails where an inner loop that multiplies holds stack references or calls.

usage: check_kernels.py FILE.s [--least LOOPS] [--all]

An inner loop is a basic block that branches to itself; it counts where it holds a fused multiplication or a dot
product of vectors. In it these are problems:
  - an access to a fixed place of the stack, which is a spilled register. Indexed accesses are arrays of a kernel;
  - a call, whatever its name: there is no library, and a call ends vectors;
  - a fused multiplication or dot product of scalars;
  - a multiplication or division of addresses: those belong in front of the loop, and LLVM can be led
    to repeat them inside.
--least: how many such loops there must be, so that a file without kernels does not pass. --all prints every loop.
"""

import argparse
import re
import sys

LABEL = re.compile(r"^([.A-Za-z_$][\w.$@]*):")
# A product that is added up: of vectors, and of scalars.
X86_VECTOR = re.compile(r"^(vfn?m(add|sub)\d*p[sd]|vdpbf16ps|v?pdp(bus|wss|bss)d?s?|v?pmaddwd)$")
X86_SCALAR = re.compile(r"^vfn?m(add|sub)\d*s[sd]$")
ARM_VECTOR = re.compile(r"^(fml[as]|fmlal2?|bfdot|bfml?al?[bt]?|bfmmla|[us]dot|usdot|[us]mmla|[us]mlal2?)$")
# Which of two encodings, where one mnemonic has both.
ENCODING = re.compile(r"^\{(vex|evex)\}\s*")
ARM_SCALAR = re.compile(r"^fn?m(add|sub)$")
X86_ADDRESS = re.compile(r"^i?(mul|div)[bwlq]?$")
ARM_ADDRESS = re.compile(r"^([us]?mulh?|madd|msub|[us]div)$")
X86_JUMP = re.compile(r"^j[a-z]+$")
ARM_JUMP = re.compile(r"^(b|b\.[a-z]+|cbn?z|tbn?z)$")


class Machine:
    """How one architecture writes what is looked for."""

    def __init__(self, text):
        # Only x86's AT&T syntax has % in front of registers.
        self.is_x86 = re.search(r"%r[sb]p\b", text) is not None or "%rdi" in text
        self.vector, self.scalar = (X86_VECTOR, X86_SCALAR) if self.is_x86 else (ARM_VECTOR, ARM_SCALAR)
        self.address = X86_ADDRESS if self.is_x86 else ARM_ADDRESS
        self.jump = X86_JUMP if self.is_x86 else ARM_JUMP
        self.calls = {"call", "callq"} if self.is_x86 else {"bl", "blr"}

    def frame_registers(self, function):
        """The registers that point into the frame: the stack pointer, and what is made of it."""
        found = {"%rsp"} if self.is_x86 else {"sp"}
        for name, operands in function:
            if self.is_x86 and name == "movq":
                match = re.match(r"%rsp, (%rbp|%rbx)$", operands)
            elif not self.is_x86 and name in ("mov", "add"):
                match = re.match(r"(x29), sp\b|(x19), sp$", operands)
            else:
                continue
            if match:
                found.add(operands.split(",")[0 if not self.is_x86 else 1].strip())
        return found

    def is_stack(self, operands, registers):
        for register in registers:
            name = re.escape(register)
            pattern = rf"\({name}\)" if self.is_x86 else rf"\[{name}(, #-?\w+)?\]"
            if re.search(pattern, operands):
                return True
        return False


def functions(text, comment):
    """(name, [(label or None, [(instruction, operands)])]) of each function."""
    result = []
    for line in text.splitlines():
        line = line.split(comment, 1)[0].rstrip()
        match = LABEL.match(line)
        if match:
            name = match.group(1)
            if not name.startswith(".L"):
                result.append((name, [(name, [])]))
            elif name.startswith(".LBB") and result:
                result[-1][1].append((name, []))
            continue
        line = ENCODING.sub("", line.strip())
        if not line or line.startswith(".") or not result:
            continue
        name, _, operands = line.partition("\t")
        result[-1][1][-1][1].append((name, operands.strip()))
    return result


def inner_loops(blocks, machine):
    """The instructions from a label to the branch back to it, with no other label in between."""
    for label, instructions in blocks:
        for end, (name, operands) in enumerate(instructions):
            if machine.jump.match(name) and operands.split(",")[-1].strip() == label:
                yield label, instructions[: end + 1]
                break


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--least", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.file, encoding="utf-8") as stream:
        text = stream.read()
    machine = Machine(text)
    loops = products = 0
    problems = []
    for function, blocks in functions(text, "#" if machine.is_x86 else "//"):
        frame = machine.frame_registers([item for _, block in blocks for item in block])
        for label, loop in inner_loops(blocks, machine):
            vectors = sum(machine.vector.match(name) is not None for name, _ in loop)
            # A scalar that is multiplied beside vectors, or alone, is in the wrong loop either way.
            scalars = [item for item in loop if machine.scalar.match(item[0])]
            if vectors + len(scalars) == 0:
                continue
            loops += 1
            products += vectors
            where = f"{function} {label}: loop of {len(loop)} instructions, {vectors} products of vectors"
            if arguments.all:
                print(where)
            # An address is computed, and nothing read or written, by lea.
            stack = [(name, o) for name, o in loop if not name.startswith("lea") and machine.is_stack(o, frame)]
            addresses = [item for item in loop if machine.address.match(item[0])]
            calls = [(name, o) for name, o in loop if name in machine.calls]
            for kind, items in (
                ("stack references", stack),
                ("calls", calls),
                ("products of scalars", scalars),
                ("computations of addresses", addresses),
            ):
                if items:
                    problems.append(f"{where}; {len(items)} {kind}, e.g. {' '.join(items[0])}")
    if loops < arguments.least:
        problems.append(f"expected at least {arguments.least} loops with products, but found {loops}")
    for problem in problems:
        print(problem)
    print(f"{loops} inner loops, {products} products of vectors, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
