#!/bin/sh
# Packs what test/gpu/run.sh needs on a machine with a GPU: sources, headers, artifacts and expected outputs.
#   test/gpu/pack.sh BUILD OUT.tar.gz [MORE.tfa…]
# XFM_PARTS: which of carried, kernels and bench are packed (default: all).
# XFM_SMALL=1 makes what is measured small enough for a CPU.
# BUILD is a build of this project. The artifacts MORE are measured too; they may lack weights (tfopt --no-weights).
set -eu
[ $# -ge 2 ] || { echo "usage: pack.sh BUILD OUT.tar.gz [MORE.tfa...]" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "$1" && pwd)/bin
out=$2
shift 2
parts=${XFM_PARTS:-carried kernels bench}
target=${XFM_TARGET:-cuda} # cpu: to try the scripts without a GPU
case $target in
cuda | cpu) ;;
*)
  echo "pack.sh: error: expected XFM_TARGET to be cuda or cpu, but got '$target'" >&2
  exit 2
  ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/xfm-gpu
mkdir -p "$bundle/cases" "$bundle/bench" "$bundle/check" "$bundle/models/bard" "$bundle/include"
cp "$root/VERSION" "$root/LICENSE" "$root/test/gpu/run.sh" "$bundle"
for script in machine reference sanitize peers torch_peers llama shapes; do
  cp "$root/test/gpu/$script.py" "$bundle"
done
(cd "$root" && tar cf - runtime tools/tfrun tools/tfrun.cpp test/gpu/compare.cpp) | (cd "$bundle" && tar xf -)
for header in nlohmann CLI xxhash.h pcre2.h; do
  cp -r "${XFM_INCLUDE:-/usr/include}/$header" "$bundle/include"
done
for library in /usr/lib/*/libpcre2-8.a; do
  [ ! -e "$library" ] || cp "$library" "$bundle"
done

# Compiles MODEL into OUT for one architecture, or for the CPU, with the options behind them.
compile() {
  from=$1
  to=$2
  arch=$3
  shift 3
  if [ "$arch" = cpu ]; then
    "$bin/tfopt" "$from" "$@" -o "$to" -q
  else
    "$bin/tfopt" "$from" --target=cuda --arch="$arch" --gpu-kernels=newest "$@" -o "$to" -q
  fi
}

# Kernels alone: a module for each template, for each architecture, which must be the one it is named after.
archs="sm_80 sm_90a"
[ "$target" = cuda ] || archs=cpu
python3 "$root/test/gpu/cases.py" "$work/cases"
cp "$work/cases/cases.json" "$bundle"
has() {
  case " $parts " in
  *" $1 "*) return 0 ;;
  esac
  return 1
}
has kernels || rm -r "$work/cases/check"
has bench || rm -r "$work/cases/bench"
for source in "$work"/cases/*/*.mlir; do
  [ -e "$source" ] || break # neither
  kind=$(basename "$(dirname "$source")")
  name=$(basename "$source" .mlir)
  for arch in $archs; do
    artifact=$bundle/$kind/$name.$arch.tfa
    compile "$source" "$artifact" "$arch" --no-weights
    [ "$arch" = cpu ] || "$bin/tfrun" "$artifact" --info --json | python3 "$root/test/gpu/cases.py" --verify "$name" "$arch"
  done
done

# A model of TinyLlama's shape, on random weights there.
all=$(echo "$archs" | tr ' ' ,)
if has bench; then
  python3 "$root/test/gpu/shapes.py" "$work/tinyllama"
  mkdir "$bundle/models/tinyllama"
  cp "$work/tinyllama/config.json" "$bundle/models/tinyllama"
  compile "$work/tinyllama" "$bundle/bench/tinyllama.tfa" "$all" --precision=bf16 --no-weights
fi

model=$root/examples/bard
cp "$model/config.json" "$model/model.safetensors" "$bundle/models/bard"
tokens=$root/test/e2e/goldens/bard.tokens.npy
precisions="f32 bf16"
has carried || precisions=
for precision in $precisions; do
  case=$bundle/cases/bard-$precision
  mkdir -p "$case/inputs" "$case/outputs"
  compile "$model" "$case/model.tfa" "$all" --precision="$precision"
  cp "$tokens" "$case/inputs/tokens.npy"
  "$bin/tf-interpret" "$model" --precision="$precision" --entry=score --rounding=ir --input "tokens=$tokens" \
    --output "logits=$case/outputs/logits.npy"
  echo score >"$case/entry"
  # Of the largest logit: the emulator's limits.
  if [ "$precision" = f32 ]; then echo 1e-4; else echo 1e-2; fi >"$case/tolerance"
done
if has carried; then
  # What is drawn, by the kernel that draws, is what the CPU draws.
  "$bin/tfopt" "$model" --precision=f32 -o "$work/cpu.tfa" -q
  "$bin/tfrun" "$work/cpu.tfa" -p ROMEO: -n 48 --seed 7 -q >"$bundle/cases/bard-f32/drawn"
fi
for artifact; do
  cp -r "$artifact" "$bundle/bench"
done
tar czf "$out" -C "$work" xfm-gpu
size=$(wc -c <"$out")
[ "$size" -le $((64 * 1024 * 1024)) ] || echo "pack.sh: warning: $out has $size bytes, more than 64 MiB" >&2
echo "$out: unpack it on a machine with a GPU and run xfm-gpu/run.sh"
