// Which products compute the rows that they multiply, by shapes and types alone. What CHECK counts is launches.
// RUN: tfopt %s --transformer-to-linalg --canonicalize --transformer-form-dispatches=gpu --split-input-file | FileCheck %s
// RUN: tfopt %s --transformer-to-linalg --canonicalize --transformer-form-dispatches=gpu --transformer-select-gpu-kernels="archs=sm_80,sm_90a newest" --split-input-file | FileCheck %s --check-prefix=KERNEL
// RUN: tfopt %s --transformer-to-linalg --canonicalize --transformer-form-dispatches="gpu sequences=16" --split-input-file | FileCheck %s --check-prefix=SIXTEEN

// One position of each sequence: its norm is in the kernel of the product, on every architecture.
// CHECK-LABEL: func @step
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
// KERNEL: func.func private
// KERNEL-SAME: sm_80 = #xgpu.config<"skinny_gemm"
// KERNEL-SAME: sm_90a = #xgpu.config<"skinny_gemm"
func.func @step(%x: tensor<?x1x64xf32>, %s: tensor<64xf32>, %w: tensor<100x64xbf16>) -> tensor<?x1x100xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x1x64xf32>, tensor<64xf32> -> tensor<?x1x64xbf16>
  %y = transformer.linear %0, %w : tensor<?x1x64xbf16>, tensor<100x64xbf16> -> tensor<?x1x100xf32>
  return %y : tensor<?x1x100xf32>
}

// -----

// In f32 as well, and of a norm with two reductions.
// CHECK-LABEL: func @step_of_f32
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
// KERNEL: func.func private
// KERNEL-SAME: sm_80 = #xgpu.config<"gemv"
func.func @step_of_f32(%x: tensor<?x1x64xf32>, %s: tensor<64xf32>, %w: tensor<100x64xf32>) -> tensor<?x1x100xf32> {
  %0 = transformer.layer_norm %x, %s epsilon 1.0e-5 : tensor<?x1x64xf32>, tensor<64xf32> -> tensor<?x1x64xf32>
  %y = transformer.linear %0, %w : tensor<?x1x64xf32>, tensor<100x64xf32> -> tensor<?x1x100xf32>
  return %y : tensor<?x1x100xf32>
}

// -----

// Gate and up multiply the same rows in one kernel, which computes them once.
// CHECK-LABEL: func @gate_and_up
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @gate_and_up(%x: tensor<?x1x64xf32>, %s: tensor<64xf32>, %v: tensor<96x64xbf16>, %w: tensor<96x64xbf16>) -> tensor<?x1x96xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x1x64xf32>, tensor<64xf32> -> tensor<?x1x64xbf16>
  %g = transformer.linear %0, %v : tensor<?x1x64xbf16>, tensor<96x64xbf16> -> tensor<?x1x96xf32>
  %a = transformer.activation silu %g : tensor<?x1x96xf32> -> tensor<?x1x96xf32>
  %u = transformer.linear %0, %w : tensor<?x1x64xbf16>, tensor<96x64xbf16> -> tensor<?x1x96xf32>
  %y = arith.mulf %a, %u : tensor<?x1x96xf32>
  return %y : tensor<?x1x96xf32>
}

// -----

// Two kernels that read the same norm do not compute it twice.
// CHECK-LABEL: func @two_readers
// CHECK-COUNT-3: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @two_readers(%x: tensor<?x1x64xf32>, %s: tensor<64xf32>, %v: tensor<96x64xbf16>, %w: tensor<32x64xbf16>) -> (tensor<?x1x96xf32>, tensor<?x1x32xf32>) {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x1x64xf32>, tensor<64xf32> -> tensor<?x1x64xbf16>
  %a = transformer.linear %0, %v : tensor<?x1x64xbf16>, tensor<96x64xbf16> -> tensor<?x1x96xf32>
  %b = transformer.linear %0, %w : tensor<?x1x64xbf16>, tensor<32x64xbf16> -> tensor<?x1x32xf32>
  return %a, %b : tensor<?x1x96xf32>, tensor<?x1x32xf32>
}

// -----

// Many rows: hundreds of blocks would compute the norm of each.
// CHECK-LABEL: func @positions
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @positions(%x: tensor<?x?x64xf32>, %s: tensor<64xf32>, %w: tensor<100x64xbf16>) -> tensor<?x?x100xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x?x64xf32>, tensor<64xf32> -> tensor<?x?x64xbf16>
  %y = transformer.linear %0, %w : tensor<?x?x64xbf16>, tensor<100x64xbf16> -> tensor<?x?x100xf32>
  return %y : tensor<?x?x100xf32>
}

// -----

// How many sequences a step has is known when it runs; it is taken to be one, unless more are asked for.
// CHECK-LABEL: func @sequences
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
// SIXTEEN-LABEL: func @sequences
// SIXTEEN-COUNT-2: transformer.launch
// SIXTEEN-NOT: transformer.launch
// SIXTEEN: func private
func.func @sequences(%x: tensor<?x1x4096xf32>, %s: tensor<4096xf32>, %w: tensor<6144x4096xbf16>) -> tensor<?x1x6144xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x1x4096xf32>, tensor<4096xf32> -> tensor<?x1x4096xbf16>
  %y = transformer.linear %0, %w : tensor<?x1x4096xbf16>, tensor<6144x4096xbf16> -> tensor<?x1x6144xf32>
  return %y : tensor<?x1x6144xf32>
}

// -----

// Of a known number of rows few are read again at no cost, behind weights; so are more of a small product.
// CHECK-LABEL: func @four_rows
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK-LABEL: func @sixteen_rows
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK-LABEL: func @sixteen_rows_of_little
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @four_rows(%x: tensor<4x1x4096xf32>, %s: tensor<4096xf32>, %w: tensor<6144x4096xbf16>) -> tensor<4x1x6144xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<4x1x4096xf32>, tensor<4096xf32> -> tensor<4x1x4096xbf16>
  %y = transformer.linear %0, %w : tensor<4x1x4096xbf16>, tensor<6144x4096xbf16> -> tensor<4x1x6144xf32>
  return %y : tensor<4x1x6144xf32>
}
func.func @sixteen_rows(%x: tensor<16x1x4096xf32>, %s: tensor<4096xf32>, %w: tensor<6144x4096xbf16>) -> tensor<16x1x6144xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<16x1x4096xf32>, tensor<4096xf32> -> tensor<16x1x4096xbf16>
  %y = transformer.linear %0, %w : tensor<16x1x4096xbf16>, tensor<6144x4096xbf16> -> tensor<16x1x6144xf32>
  return %y : tensor<16x1x6144xf32>
}
func.func @sixteen_rows_of_little(%x: tensor<16x1x1024xf32>, %s: tensor<1024xf32>, %w: tensor<1024x1024xbf16>) -> tensor<16x1x1024xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<16x1x1024xf32>, tensor<1024xf32> -> tensor<16x1x1024xbf16>
  %y = transformer.linear %0, %w : tensor<16x1x1024xbf16>, tensor<1024x1024xbf16> -> tensor<16x1x1024xf32>
  return %y : tensor<16x1x1024xf32>
}

// -----

// Two weights are twice as many bytes to hide behind.
// CHECK-LABEL: func @eight_rows_of_gate_and_up
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK-LABEL: func @nine_rows_of_gate_and_up
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @eight_rows_of_gate_and_up(%x: tensor<8x1x4096xf32>, %s: tensor<4096xf32>, %v: tensor<14336x4096xbf16>, %w: tensor<14336x4096xbf16>) -> tensor<8x1x14336xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<8x1x4096xf32>, tensor<4096xf32> -> tensor<8x1x4096xbf16>
  %g = transformer.linear %0, %v : tensor<8x1x4096xbf16>, tensor<14336x4096xbf16> -> tensor<8x1x14336xf32>
  %a = transformer.activation silu %g : tensor<8x1x14336xf32> -> tensor<8x1x14336xf32>
  %u = transformer.linear %0, %w : tensor<8x1x4096xbf16>, tensor<14336x4096xbf16> -> tensor<8x1x14336xf32>
  %y = arith.mulf %a, %u : tensor<8x1x14336xf32>
  return %y : tensor<8x1x14336xf32>
}
func.func @nine_rows_of_gate_and_up(%x: tensor<9x1x4096xf32>, %s: tensor<4096xf32>, %v: tensor<14336x4096xbf16>, %w: tensor<14336x4096xbf16>) -> tensor<9x1x14336xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<9x1x4096xf32>, tensor<4096xf32> -> tensor<9x1x4096xbf16>
  %g = transformer.linear %0, %v : tensor<9x1x4096xbf16>, tensor<14336x4096xbf16> -> tensor<9x1x14336xf32>
  %a = transformer.activation silu %g : tensor<9x1x14336xf32> -> tensor<9x1x14336xf32>
  %u = transformer.linear %0, %w : tensor<9x1x4096xbf16>, tensor<14336x4096xbf16> -> tensor<9x1x14336xf32>
  %y = arith.mulf %a, %u : tensor<9x1x14336xf32>
  return %y : tensor<9x1x14336xf32>
}

// -----

// A row of 32 KiB fits into shared memory, one more element does not.
// CHECK-LABEL: func @long_rows
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK-LABEL: func @longer_rows
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @long_rows(%x: tensor<?x1x8192xf32>, %s: tensor<8192xf32>, %w: tensor<16x8192xf32>) -> tensor<?x1x16xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x1x8192xf32>, tensor<8192xf32> -> tensor<?x1x8192xf32>
  %y = transformer.linear %0, %w : tensor<?x1x8192xf32>, tensor<16x8192xf32> -> tensor<?x1x16xf32>
  return %y : tensor<?x1x16xf32>
}
func.func @longer_rows(%x: tensor<?x1x8193xf32>, %s: tensor<8193xf32>, %w: tensor<16x8193xf32>) -> tensor<?x1x16xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x1x8193xf32>, tensor<8193xf32> -> tensor<?x1x8193xf32>
  %y = transformer.linear %0, %w : tensor<?x1x8193xf32>, tensor<16x8193xf32> -> tensor<?x1x16xf32>
  return %y : tensor<?x1x16xf32>
}

// -----

// Elements alone: of two tensors, multiplied where they stand in place of a norm. Its result is what the kernel
// of the product before would make, where there is one.
// CHECK-LABEL: func @elements
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK-LABEL: func @elements_of_a_product
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @elements(%x: tensor<?x1x64xbf16>, %u: tensor<?x1x64xbf16>, %w: tensor<100x64xbf16>) -> tensor<?x1x100xf32> {
  %0 = transformer.activation silu %x : tensor<?x1x64xbf16> -> tensor<?x1x64xbf16>
  %1 = arith.mulf %0, %u : tensor<?x1x64xbf16>
  %y = transformer.linear %1, %w : tensor<?x1x64xbf16>, tensor<100x64xbf16> -> tensor<?x1x100xf32>
  return %y : tensor<?x1x100xf32>
}
func.func @elements_of_a_product(%x: tensor<?x1x64xbf16>, %v: tensor<64x64xbf16>, %w: tensor<100x64xbf16>) -> tensor<?x1x100xf32> {
  %0 = transformer.linear %x, %v : tensor<?x1x64xbf16>, tensor<64x64xbf16> -> tensor<?x1x64xbf16>
  %1 = transformer.activation silu %0 : tensor<?x1x64xbf16> -> tensor<?x1x64xbf16>
  %y = transformer.linear %1, %w : tensor<?x1x64xbf16>, tensor<100x64xbf16> -> tensor<?x1x100xf32>
  return %y : tensor<?x1x100xf32>
}

// -----

// A norm of each head is no reduction of a whole row.
// CHECK-LABEL: func @heads
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @heads(%x: tensor<?x1x4x16xf32>, %s: tensor<16xf32>, %w: tensor<100x64xbf16>) -> tensor<?x1x100xf32> {
  %0 = transformer.rms_norm %x, %s epsilon 1.0e-5 : tensor<?x1x4x16xf32>, tensor<16xf32> -> tensor<?x1x4x16xbf16>
  %1 = tensor.collapse_shape %0 [[0], [1], [2, 3]] : tensor<?x1x4x16xbf16> into tensor<?x1x64xbf16>
  %y = transformer.linear %1, %w : tensor<?x1x64xbf16>, tensor<100x64xbf16> -> tensor<?x1x100xf32>
  return %y : tensor<?x1x100xf32>
}
