#!/usr/bin/env python3
"""Compares xfm_text with the `tokenizers` package: compare_tokenizers.py TOKENIZE_LINES --text FILE… -- TOKENIZER.json…

Every line of the texts, a number of difficult strings and random ids must give the same ids and texts."""
import argparse
import json
import random
import subprocess
import sys

from tokenizers import Tokenizer

HARD = ["", " ", "  ", "\n\n  \t x", "\u3000x\u180ey z\u200b", "日本語テキスト한국어 عربى हिन्दी",
        "e\u0301 \u212b İSTANBUL Ǆ Ⅷ Ⓐ ﬁ ½", "👩‍👩‍👧 😀😀", "a\u0300\u0315\u0301", "<s>a</s> b<s>  <|endoftext|>x",
        "<|user|>\n hi<|end|>\n", "<mask> a <mask>b  <mask>", "    def f():\n\t\t\treturn\r\n", "it's I'LL 1234567 3.14",
        "x" * 3000, " " * 2000, "ab" * 3000 + "日" * 1000, "<0x41>\x00\x01\x7f", "▁▁x ▁", "1²³④"]
LETTERS = [chr(c) for c in [*range(32, 127), *range(0xA0, 0x180), *range(0x300, 0x340), 9, 10, 13, 0x85, 0x2028, 0x3000,
                            0x1100, 0x1161, 0x11A8, 0xAC00, 0xD7A3, 0x1D15E, 0x10400, 0x939, 0x93C, 0x1F600]]


def ask(program, path, queries):
    lines = "".join(json.dumps(query) + "\n" for query in queries)
    done = subprocess.run([program, path], input=lines, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def compare(program, path, texts):
    oracle = Tokenizer.from_file(path)
    oracle.no_truncation()
    oracle.no_padding()
    draws = random.Random(1)
    limit = oracle.get_vocab_size() + 5
    queries = texts + [[draws.randrange(limit) for _ in range(draws.randint(1, 50))] for _ in range(2000)]
    ids = differences = 0
    for query, answer in zip(queries, ask(program, path, queries)):
        expected, own = {}, query
        if isinstance(query, str):
            own = oracle.encode(query).ids
            ids += len(own)
            expected = {"ids": own, "plain": oracle.encode(query, add_special_tokens=False).ids}
        expected["text"] = oracle.decode(own, skip_special_tokens=False)
        expected["skipped"] = oracle.decode(own)
        if answer != expected:
            differences += 1
            if differences <= 5:
                print(f"  {query!r:.100}: expected {expected!r:.300}, but got {answer!r:.300}")
    print(f"{path}: {len(texts)} texts, {ids} ids, 2000 decodings, {differences} differences", flush=True)
    return differences


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("program")
parser.add_argument("tokenizers", nargs="+")
parser.add_argument("--text", nargs="+", default=[], help="UTF-8 files")
parser.add_argument("--lines", type=int, default=3000, help="taken from each file")
options = parser.parse_args()
rng = random.Random(2)
everything = HARD + ["".join(rng.choices(LETTERS, k=rng.randint(1, 60))) for _ in range(1500)]
for name in options.text:
    with open(name, encoding="utf-8") as file:
        content = file.read()
    everything += content.split("\n")[:options.lines] + [content[:60000]]
sys.exit(any([compare(options.program, path, everything) for path in options.tokenizers]))
