// The phases in order: each is where the one before it stops.
// RUN: tfopt %s --transformer-cpu-pipeline=stop-at=linalg | FileCheck %s --check-prefix=LINALG
// RUN: tfopt %s --transformer-cpu-pipeline=stop-at=dispatch | FileCheck %s --check-prefix=DISPATCH
// RUN: tfopt %s --transformer-cpu-pipeline=stop-at=strategy | FileCheck %s --check-prefix=STRATEGY
// RUN: tfopt %s --transformer-cpu-pipeline=stop-at=kernels | FileCheck %s --check-prefix=KERNELS
// RUN: tfopt %s --transformer-cpu-pipeline=stop-at=memory | FileCheck %s --check-prefix=MEMORY
// RUN: tfopt %s --transformer-cpu-pipeline=stop-at=launches | FileCheck %s --check-prefix=LAUNCHES
// RUN: tfopt %s --transformer-cpu-pipeline | FileCheck %s --check-prefix=LLVM
// Vectors are the target's.
// RUN: tfopt %s --transformer-cpu-pipeline="vector-bytes=64" | FileCheck %s --check-prefix=WIDE

// LINALG: func.func @run
// LINALG-NOT: transformer.linear
// LINALG: linalg.generic
// LINALG: return

// DISPATCH: transformer.launch @[[K:.*]] ins
// DISPATCH-NOT: linalg.generic
// DISPATCH: func private @[[K]]
// DISPATCH: linalg.generic

// STRATEGY: func private
// STRATEGY-SAME: transformer.config = #transformer.lowering_config<

// KERNELS: func.func @run{{.*}}tensor
// KERNELS: func private {{.*}}memref
// KERNELS-NOT: linalg.generic
// KERNELS: vector.load

// MEMORY: func.func @xfm_arena_run
// MEMORY: func.func @xfm_entry_run
// MEMORY: transformer.launch {{.*}} grid(

// LAUNCHES: llvm.func @xfm_module_init
// LAUNCHES: func.func @xfm_entry_run
// LAUNCHES-NOT: transformer.launch

// LLVM: llvm.func @xfm_entry_run
// LLVM-NOT: {{(func|memref|scf|arith|math|linalg|tensor|vector)[.][a-z]}}
// LLVM: vector<8xf32>
// WIDE: vector<16xf32>
func.func @run(%x: tensor<?x40xf32> {transformer.dims = ["S", ""]}, %w: tensor<16x40xbf16>) -> (tensor<?x16xf32> {transformer.dims = ["S", ""]}) {
  %0 = transformer.linear %x, %w : tensor<?x40xf32>, tensor<16x40xbf16> -> tensor<?x16xf32>
  %1 = transformer.activation silu %0 : tensor<?x16xf32> -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}
