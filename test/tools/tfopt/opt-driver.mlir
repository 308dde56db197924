// On a .mlir with passes tfopt is the usual opt driver: its own passes and upstream's, pipelines, splits, diagnostics.
// RUN: tfopt %s --canonicalize | FileCheck %s
// RUN: tfopt %s --pass-pipeline="builtin.module(transformer-to-linalg,canonicalize)" | FileCheck %s --check-prefix=LINALG
// RUN: tfopt --transformer-to-linalg < %s | FileCheck %s --check-prefix=LINALG
// RUN: tfopt %s -o %t.mlir
// RUN: FileCheck %s --check-prefix=KEPT < %t.mlir
// RUN: not tfopt %s --transformer-nothing 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// CHECK-LABEL: func.func @run
// CHECK-COUNT-1: transformer.activation relu
// CHECK-NOT: transformer.activation
// LINALG: linalg.generic
// LINALG-NOT: transformer.activation
// KEPT-COUNT-2: transformer.activation
// UNKNOWN: Unknown command line argument '--transformer-nothing'
func.func @run(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = transformer.activation relu %x : tensor<?x8xf32> -> tensor<?x8xf32>
  %1 = transformer.activation relu %0 : tensor<?x8xf32> -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}
