// Groups of ops become functions, and equal groups share one.
// RUN: tfopt %s --transformer-to-linalg --canonicalize --transformer-form-dispatches --split-input-file | FileCheck %s

// A projection takes the elementwise ops behind it: one launch.
// CHECK-LABEL: func @epilogue
// CHECK: %[[Y:.*]] = transformer.launch @[[KERNEL:.*]] ins
// CHECK-NOT: transformer.launch
// CHECK: return %[[Y]]
// CHECK: func private @[[KERNEL]]
// CHECK-SAME: transformer.dispatch
// CHECK: linalg.generic {{.*}}"reduction"
// CHECK: linalg.generic {{.*}}["parallel", "parallel"]
func.func @epilogue(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>, %h: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %0 = transformer.linear %x, %w : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  %1 = transformer.activation relu %0 : tensor<?x16xf32> -> tensor<?x16xf32>
  %2 = arith.addf %h, %1 : tensor<?x16xf32>
  return %2 : tensor<?x16xf32>
}

// -----

// Sums of rows and the elementwise op that reads them are one launch.
// CHECK-LABEL: func @norm
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
func.func @norm(%x: tensor<?x8xf32>, %w: tensor<8xf32>) -> tensor<?x8xf32> {
  %0 = transformer.layer_norm %x, %w epsilon 1.0e-5 : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// Equal groups share a function, also those of two entry points and with other operands; the label of a launch
// says which entry point it is in.
// CHECK-LABEL: func @first
// CHECK: transformer.launch @[[KERNEL:.*]] ins
// CHECK-SAME: transformer.label = "first.
// CHECK: transformer.launch @[[KERNEL]] ins
func.func @first(%x: tensor<?x8xf32>, %u: tensor<8x8xf32>, %v: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %0 = transformer.linear %x, %u : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %1 = transformer.linear %0, %v : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}
// CHECK-LABEL: func @second
// CHECK: transformer.launch @[[KERNEL]] ins
// CHECK-SAME: transformer.label = "second.
// CHECK-COUNT-1: func private
// CHECK-NOT: func private
func.func @second(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %0 = transformer.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// Groups of other types do not share.
// CHECK-LABEL: func @types
// CHECK: transformer.launch @[[FIRST:.*]] ins
// CHECK: transformer.launch
// CHECK-NOT: @[[FIRST]] ins
// CHECK-SAME: ins
func.func @types(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>, %v: tensor<8x8xbf16>) -> tensor<?x8xf32> {
  %0 = transformer.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %1 = transformer.linear %0, %v : tensor<?x8xf32>, tensor<8x8xbf16> -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

// Declined: a contraction with a second reader is not inlined into either.
// CHECK-LABEL: func @second_reader
// CHECK: %[[SUM:.*]] = transformer.launch
// CHECK: transformer.launch {{.*}} ins(%[[SUM]]
// CHECK: return %[[SUM]]
func.func @second_reader(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  %0 = transformer.linear %x, %w : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  %1 = transformer.activation relu %0 : tensor<?x16xf32> -> tensor<?x16xf32>
  return %0, %1 : tensor<?x16xf32>, tensor<?x16xf32>
}

// -----

// Declined: what is read by tensor.extract, here both halves of a rotated head, stands in memory.
// CHECK-LABEL: func @extracted
// CHECK: %[[X:.*]] = transformer.launch
// CHECK: %[[HALVES:.*]] = tensor.expand_shape %[[X]]
// CHECK: transformer.launch {{.*}} ins({{.*}}%[[HALVES]]
func.func @extracted(%h: tensor<?x?x2x8xf32>, %c: tensor<32x4xf32>, %s: tensor<32x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x2x8xf32> {
  %0 = transformer.activation relu %h : tensor<?x?x2x8xf32> -> tensor<?x?x2x8xf32>
  %1 = transformer.rope half_split %0, %c, %s at %at : tensor<?x?x2x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x2x8xf32>
  return %1 : tensor<?x?x2x8xf32>
}

// -----

// Declined: a contraction would compute a row of its input again for each of its columns.
// CHECK-LABEL: func @prologue
// CHECK: %[[N:.*]] = transformer.launch
// CHECK: transformer.launch {{.*}} ins(%[[N]]
func.func @prologue(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>) -> tensor<?x16xf32> {
  %0 = transformer.activation silu %x : tensor<?x8xf32> -> tensor<?x8xf32>
  %1 = transformer.linear %0, %w : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}

// -----

// Attention and appends are dispatches of their own; an append is made in the cache it extends.
// CHECK-LABEL: func @cached
// CHECK-SAME: %[[C:[a-z0-9]*]]: !transformer.kv_cache
// CHECK: %[[NEXT:.*]] = transformer.launch {{.*}} outs(%[[C]] : !transformer.kv_cache
// CHECK: transformer.launch {{.*}} ins({{.*}}%[[NEXT]]
// CHECK: func private
// CHECK: transformer.cache_append
// CHECK: func private
// CHECK: transformer.attention
func.func @cached(%q: tensor<?x?x2x8xf32>, %c: !transformer.kv_cache<2 x 8 x f32, full>) -> (tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>) {
  %0 = transformer.cache_append %c, %q, %q : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %1 = transformer.attention %q cache %0 scale 0.5 mask <causal> : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x2x8xf32>
  return %1, %0 : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>
}

// -----

// Results that nothing computes are copied: an argument, and a value returned twice.
// CHECK-LABEL: func @copies
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<?x8xf32>
// CHECK-COUNT-3: transformer.launch
// CHECK-NOT: return {{.*}}%[[X]]
// CHECK: return %[[A:[0-9]+]], %[[B:[0-9]+]], %{{[0-9]+}} :
func.func @copies(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  %0 = transformer.activation relu %x : tensor<?x8xf32> -> tensor<?x8xf32>
  return %x, %0, %0 : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// A broadcast reads none of the sizes of its result: they come from where it is read.
// CHECK-LABEL: func @broadcast
// CHECK-COUNT-1: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
func.func @broadcast(%x: tensor<?x?xf32>, %row: tensor<?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?xf32>
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %0 = linalg.broadcast ins(%row : tensor<?xf32>) outs(%e : tensor<?x?xf32>) dimensions = [0]
  %1 = arith.addf %x, %0 : tensor<?x?xf32>
  return %1 : tensor<?x?xf32>
}

// -----

// Functions without a body and private ones are no entry points.
// CHECK: func private @declared(tensor<?xf32>)
func.func private @declared(tensor<?xf32>) -> tensor<?xf32>
// CHECK: func private @helper
// CHECK-NOT: transformer.launch
func.func private @helper(%x: tensor<?xf32>) -> tensor<?xf32> {
  %0 = arith.addf %x, %x : tensor<?xf32>
  return %0 : tensor<?xf32>
}
