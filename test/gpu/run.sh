#!/bin/sh
# Builds the runtime and tfrun on a bare machine, compares what a GPU computes with what was carried along, and
# with torch, and measures it. Runs in the folder that test/gpu/pack.sh packed. XFM_DEVICE: cuda:0 (default), cuda:N or cpu.
# XFM_TFRUN: a tfrun that is built already.
# XFM_PARTS: which of carried, kernels, sanitizer and bench (default: all). XFM_PYTHON: a Python 3, best one that has torch.
set -u
cd "$(dirname "$0")" || exit 2
device=${XFM_DEVICE:-cuda:0}
compiler=${CXX:-c++}
python=${XFM_PYTHON:-python3}
parts=${XFM_PARTS:-carried kernels sanitizer bench}
# What a kernel does not write is then no number.
export XFM_POISON_DEVICE_MEMORY=1

need() {
  echo "run.sh: error: $1" >&2
  echo "run.sh: needs a C++17 compiler (CXX, default c++), x86-64 Linux, and for cuda NVIDIA's driver (libcuda.so.1);" \
    "no network, no CUDA toolkit, no LLVM" >&2
  exit 2
}
command -v "$compiler" >/dev/null || need "there is no compiler '$compiler'"
{ [ -d cases ] && [ -d runtime ]; } || need "this folder was not made by test/gpu/pack.sh"

# Objects of everything, a few at a time; where there is a tfrun, of what `compare` needs.
tfrun=${XFM_TFRUN:-build/tfrun}
sources="runtime tools test"
[ -z "${XFM_TFRUN:-}" ] || sources="runtime/Npy.cpp runtime/File.cpp runtime/Status.cpp runtime/Tensor.cpp test"
command -v "$tfrun" >/dev/null || [ -z "${XFM_TFRUN:-}" ] || need "there is no '$tfrun'"
version=$(cat VERSION)
mkdir -p build
export compiler version
# shellcheck disable=SC2016,SC2086 # expanded by the inner shell; a list of folders
find $sources -name '*.cpp' -print0 | xargs -0 -P "$(nproc)" -I{} sh -c '
  object=build/$(echo "$1" | tr / _).o
  [ "$object" -nt "$1" ] || "$compiler" -std=c++17 -O2 -pthread -I. -Iinclude -DXFM_VERSION="\"$version\"" \
    -DXFM_VERSION_STRING="\"$version\"" -c "$1" -o "$object"' sh {} || need "the runtime does not build"
pcre=-lpcre2-8
[ ! -e libpcre2-8.a ] || pcre=libpcre2-8.a
common=$(find build -name 'runtime_*.o')
# shellcheck disable=SC2086 # lists of files
[ -n "${XFM_TFRUN:-}" ] || "$compiler" -o build/tfrun build/tools_*.o $common $pcre -pthread -ldl || need "tfrun does not link (libpcre2-8?)"
# shellcheck disable=SC2086
"$compiler" -o build/compare build/test_gpu_compare.cpp.o $common $pcre -pthread -ldl || need "compare does not link"

status=0
has() {
  case " $parts " in
  *" $1 "*) return 0 ;;
  esac
  return 1
}
for part in $parts; do
  case $part in
  carried | kernels | sanitizer | bench) ;;
  *) need "expected XFM_PARTS to be some of carried, kernels, sanitizer and bench, but got '$part'" ;;
  esac
done

carried() {
  printf '%-16s %-8s %12s %12s  %s\n' case output error allowed result
  for case in cases/*/; do
    name=$(basename "$case")
    entry=$(cat "$case/entry")
    allowed=$(cat "$case/tolerance")
    set --
    for file in "$case"inputs/*.npy; do
      set -- "$@" --input "$(basename "$file" .npy)=$file"
    done
    for file in "$case"outputs/*.npy; do
      set -- "$@" --output "$(basename "$file" .npy)=build/$name.$(basename "$file")"
    done
    if ! message=$("$tfrun" "$case/model.tfa" --device="$device" --entry="$entry" "$@" -q 2>&1); then
      printf '%-16s %-8s %12s %12s  %s\n' "$name" - - "$allowed" "FAILED: $message"
      status=1
      continue
    fi
    for file in "$case"outputs/*.npy; do
      if error=$(build/compare "build/$name.$(basename "$file")" "$file" "$allowed"); then
        result=ok
      else
        result=FAILED
        status=1
      fi
      printf '%-16s %-8s %12s %12s  %s\n' "$name" "$(basename "$file" .npy)" "$error" "$allowed" "$result"
    done
    [ -e "$case/drawn" ] || continue
    result=ok
    if ! "$tfrun" "$case/model.tfa" --device="$device" -p ROMEO: -n 48 --seed 7 -q >"build/$name.drawn" 2>&1 ||
      ! cmp -s "build/$name.drawn" "$case/drawn"; then
      result="FAILED: build/$name.drawn is another text than $case/drawn"
      status=1
    fi
    printf '%-16s %-8s %12s %12s  %s\n' "$name" drawn - equal "$result"
  done
}

# Without Python: the table of tfrun for every model.
bench_models() {
  for artifact in cases/*/model.tfa bench/tinyllama.tfa; do
    set --
    [ -e "$artifact/weights.safetensors" ] || set -- --random-weights=1
    echo
    echo "$artifact on $device:"
    "$tfrun" "$artifact" --device="$device" --bench "$@" || status=1
  done
}

if has carried; then
  carried
fi
if command -v "$python" >/dev/null; then
  for part in kernels:reference sanitizer:sanitize bench:peers; do
    if has "${part%:*}"; then
      echo
      # Poison costs time, so nothing is measured with it.
      [ "${part%:*}" != bench ] || unset XFM_POISON_DEVICE_MEMORY
      "$python" "${part#*:}.py" --device "$device" . "$tfrun" || status=1
    fi
  done
else
  echo "run.sh: there is no '$python': kernels are neither compared with torch nor measured alone"
  if has bench; then
    bench_models
  fi
fi
exit $status
