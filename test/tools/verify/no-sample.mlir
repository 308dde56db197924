// A changed function whose arguments have no sample is an error, not a pass.
// RUN: not tfopt compile %s --passes=canonicalize --stop-at=optimized --verify-numerics 2>&1 | FileCheck %s
// CHECK: error: verify-numerics: canonicalize: @f: {{.*}}no-sample.mlir:[[@LINE+1]]:1: 'func.func' op has an argument of type 'memref<4xf32>', for which there is no sample
func.func @f(%x: tensor<4xf32>, %m: memref<4xf32>) -> tensor<4xf32> {
  %0 = transformer.activation relu %x : tensor<4xf32> -> tensor<4xf32>
  %1 = transformer.activation relu %0 : tensor<4xf32> -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
