// RUN: tfopt %s --split-input-file --transformer-share-derived | FileCheck %s

// Equal derived weights become the first one, through chains; names do not count.
// CHECK: transformer.derive @a = transpose(@w)
// CHECK-NOT: @b
// CHECK: transformer.derive @c = scale(@a)
// CHECK-NOT: @d
transformer.weight @w : tensor<8x8xf32> from "model.safetensors"
transformer.derive @a = transpose(@w) : tensor<8x8xf32>
transformer.derive @b = transpose(@w) : tensor<8x8xf32>
transformer.derive @c = scale(@a) {value = 2.0 : f64} : tensor<8x8xf32>
transformer.derive @d = scale(@b) {value = 2.0 : f64} : tensor<8x8xf32>
// CHECK-LABEL: func.func @equal
// CHECK-NEXT: %[[C:.*]] = transformer.use @c
// CHECK-NEXT: return %[[C]], %[[C]]
func.func @equal() -> (tensor<8x8xf32>, tensor<8x8xf32>) {
  %0 = transformer.use @c : tensor<8x8xf32>
  %1 = transformer.use @d : tensor<8x8xf32>
  return %0, %1 : tensor<8x8xf32>, tensor<8x8xf32>
}

// -----

// What differs in a parameter or in its type stays; what nothing reads goes, with
// what only it is derived from.
// CHECK: transformer.weight @w
// CHECK-NEXT: transformer.derive @a
// CHECK-NEXT: transformer.derive @b
// CHECK-NEXT: transformer.derive @c
// CHECK-NEXT: func.func @different
transformer.weight @w : tensor<8x8xf32> from "model.safetensors"
transformer.derive @a = scale(@w) {value = 2.0 : f64} : tensor<8x8xf32>
transformer.derive @b = scale(@w) {value = 3.0 : f64} : tensor<8x8xf32>
transformer.derive @c = scale(@w) {value = 3.0 : f64} : tensor<8x8xbf16>
transformer.derive @unused = transpose(@w) : tensor<8x8xf32>
transformer.derive @unused_too = transpose(@unused) : tensor<8x8xf32>
func.func @different() -> (tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xbf16>) {
  %0 = transformer.use @a : tensor<8x8xf32>
  %1 = transformer.use @b : tensor<8x8xf32>
  %2 = transformer.use @c : tensor<8x8xbf16>
  return %0, %1, %2 : tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xbf16>
}
