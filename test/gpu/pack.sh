#!/bin/sh
# Packs what test/gpu/run.sh needs on a machine with a GPU: sources, headers, artifacts and expected outputs.
#   test/gpu/pack.sh BUILD OUT.tar.gz [MORE.tfa…]
# BUILD is a build of this project. The artifacts MORE are measured too; they may lack weights (tfopt --no-weights).
set -eu
[ $# -ge 2 ] || { echo "usage: pack.sh BUILD OUT.tar.gz [MORE.tfa...]" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "$1" && pwd)/bin
out=$2
shift 2
target=${XFM_TARGET:-cuda} # cpu: to try the scripts without a GPU

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/xfm-gpu
mkdir -p "$bundle/cases" "$bundle/bench" "$bundle/include"
cp "$root/VERSION" "$root/LICENSE" "$root/test/gpu/run.sh" "$bundle"
(cd "$root" && tar cf - runtime tools/tfrun tools/tfrun.cpp test/gpu/compare.cpp) | (cd "$bundle" && tar xf -)
for header in nlohmann CLI xxhash.h pcre2.h; do
  cp -r "${XFM_INCLUDE:-/usr/include}/$header" "$bundle/include"
done
for library in /usr/lib/*/libpcre2-8.a; do
  [ ! -e "$library" ] || cp "$library" "$bundle"
done

model=$root/examples/bard
tokens=$root/test/e2e/goldens/bard.tokens.npy
for precision in f32 bf16; do
  case=$bundle/cases/bard-$precision
  mkdir -p "$case/inputs" "$case/outputs"
  if [ "$target" = cuda ]; then
    "$bin/tfopt" "$model" --target=cuda --arch=sm_80 --precision=$precision -o "$case/model.tfa" -q
  else
    "$bin/tfopt" "$model" --precision=$precision -o "$case/model.tfa" -q
  fi
  cp "$tokens" "$case/inputs/tokens.npy"
  "$bin/tf-interpret" "$model" --precision=$precision --entry=score --rounding=ir --input "tokens=$tokens" \
    --output "logits=$case/outputs/logits.npy"
  echo score >"$case/entry"
  # Of the largest logit: the emulator's limits.
  if [ $precision = f32 ]; then echo 1e-4; else echo 1e-2; fi >"$case/tolerance"
done
for artifact; do
  cp -r "$artifact" "$bundle/bench"
done
tar czf "$out" -C "$work" xfm-gpu
echo "$out: unpack it on a machine with a GPU and run xfm-gpu/run.sh"
