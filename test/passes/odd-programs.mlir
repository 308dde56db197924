// Programs that no importer writes go through every pass: they come out valid, and whole where nothing matches.
// RUN: tfopt %s --transformer-optimize --verify-each | FileCheck %s
// RUN: tfopt %s --transformer-optimize=level=1 | FileCheck %s --check-prefix=AS-IS
// RUN: tfopt %s | FileCheck %s --check-prefix=AS-IS

// AS-IS-LABEL: func.func @ranks
// AS-IS: tensor.extract_slice
// AS-IS: tensor.expand_shape

// Tensors without dimensions. All of a tensor as a slice is the tensor.
// CHECK-LABEL: func.func @ranks
// CHECK-NOT: tensor.extract_slice
// CHECK: tensor.expand_shape
// CHECK: tensor.collapse_shape
func.func @ranks(%x: tensor<f32>, %y: tensor<1x1xf32>) -> (tensor<1xf32>, tensor<f32>, tensor<f32>) {
  %0 = tensor.extract_slice %x[] [] [] : tensor<f32> to tensor<f32>
  %1 = tensor.expand_shape %0 [] output_shape [1] : tensor<f32> into tensor<1xf32>
  %2 = tensor.collapse_shape %y [] : tensor<1x1xf32> into tensor<f32>
  %3 = arith.addf %2, %0 : tensor<f32>
  return %1, %2, %3 : tensor<1xf32>, tensor<f32>, tensor<f32>
}

// Values cross blocks; the sizes of results of control flow are followed no further.
// CHECK-LABEL: func.func @blocks
// CHECK: scf.if
// CHECK: scf.for
// CHECK: transformer.linear
func.func @blocks(%x: tensor<?x3x64xf32>, %w: tensor<64x64xf32>, %flag: i1, %n: index) -> (tensor<?x1x64xf32>, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = transformer.linear %x, %w : tensor<?x3x64xf32>, tensor<64x64xf32> -> tensor<?x3x64xf32>
  %1:2 = scf.if %flag -> (index, tensor<?x1x64xf32>) {
    %2 = tensor.extract_slice %0[0, 2, 0] [%n, 1, 64] [1, 1, 1] : tensor<?x3x64xf32> to tensor<?x1x64xf32>
    scf.yield %c0, %2 : index, tensor<?x1x64xf32>
  } else {
    %2 = tensor.extract_slice %0[0, 2, 0] [%n, 1, 64] [1, 1, 1] : tensor<?x3x64xf32> to tensor<?x1x64xf32>
    scf.yield %c1, %2 : index, tensor<?x1x64xf32>
  }
  %3:2 = scf.for %i = %c0 to %n step %c1 iter_args(%k = %c0, %v = %1#1) -> (index, tensor<?x1x64xf32>) {
    %4 = transformer.linear %v, %w : tensor<?x1x64xf32>, tensor<64x64xf32> -> tensor<?x1x64xf32>
    scf.yield %i, %4 : index, tensor<?x1x64xf32>
  }
  %d = tensor.dim %3#1, %c0 : tensor<?x1x64xf32>
  %5 = transformer.linear %3#1, %w : tensor<?x1x64xf32>, tensor<64x64xf32> -> tensor<?x1x64xf32>
  %6 = tensor.extract_slice %5[0, 0, 0] [%d, 1, 32] [1, 1, 1] : tensor<?x1x64xf32> to tensor<?x1x32xf32>
  %7 = tensor.extract_slice %5[0, 0, 32] [%d, 1, 32] [1, 1, 1] : tensor<?x1x64xf32> to tensor<?x1x32xf32>
  %8 = arith.mulf %6, %7 : tensor<?x1x32xf32>
  %9 = tensor.concat dim(2) %8, %8 : (tensor<?x1x32xf32>, tensor<?x1x32xf32>) -> tensor<?x1x64xf32>
  return %9, %3#0 : tensor<?x1x64xf32>, index
}

// One value is gate, up and input; one weight is all three.
// CHECK-LABEL: func.func @same_everything
// CHECK: return
func.func @same_everything(%x: tensor<4x64xf32>, %w: tensor<64x64xf32>) -> tensor<4x64xf32> {
  %0 = transformer.linear %x, %w : tensor<4x64xf32>, tensor<64x64xf32> -> tensor<4x64xf32>
  %1 = transformer.activation silu %0 : tensor<4x64xf32> -> tensor<4x64xf32>
  %2 = arith.mulf %1, %1 : tensor<4x64xf32>
  %3 = transformer.linear %2, %w : tensor<4x64xf32>, tensor<64x64xf32> -> tensor<4x64xf32>
  %4 = arith.mulf %1, %0 : tensor<4x64xf32>
  %5 = transformer.linear %4, %w : tensor<4x64xf32>, tensor<64x64xf32> -> tensor<4x64xf32>
  %6 = arith.addf %3, %5 : tensor<4x64xf32>
  return %6 : tensor<4x64xf32>
}

// A function without a body, and one without anything.
// CHECK: func.func private @declared
func.func private @declared(tensor<4xf32>) -> tensor<4xf32>
// CHECK-LABEL: func.func @empty
func.func @empty() {
  return
}
