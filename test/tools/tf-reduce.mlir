// The reducer keeps what its test finds interesting and drops the rest.
// RUN: printf '#!/bin/sh\ngrep -q transformer.activation "$1" && exit 1\nexit 0\n' > %t.sh && chmod +x %t.sh
// RUN: tf-reduce %s -reduction-tree='traversal-mode=0 test=%t.sh' -o %t.mlir && FileCheck %s < %t.mlir

// CHECK: transformer.activation
// CHECK-NOT: @dropped
func.func @kept(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = transformer.activation silu %x : tensor<?x8xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func @dropped(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
