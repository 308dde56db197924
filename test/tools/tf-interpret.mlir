// RUN: %python %test_tools/npy.py write %t.x.npy f4 2,3 1 2 3 4 5 6
// RUN: %python %test_tools/npy.py write %t.ids.npy i8 2,1 0 2

// Inputs and outputs go by the names in the IR; results keep every digit.
// RUN: tf-interpret %s --entry=thirds --input x=%t.x.npy --output y=%t.y.npy --output result1=%t.n.npy
// RUN: %python %test_tools/npy.py show %t.y.npy | FileCheck %s --check-prefix=IDEAL
// IDEAL: f8 (2, 3) 0.3333333333333333 0.6666666666666666 1.0
// RUN: %python %test_tools/npy.py show %t.n.npy | FileCheck %s --check-prefix=COUNT
// COUNT: i8 (1,) 3

// --rounding=ir rounds to f32 where the IR does.
// RUN: tf-interpret %s --entry=thirds --input x=%t.x.npy --output y=%t.y.npy --rounding=ir
// RUN: %python %test_tools/npy.py show %t.y.npy | FileCheck %s --check-prefix=ROUNDED
// ROUNDED: f8 (2, 3) 0.3333333432674408 0.6666666865348816 1.0
func.func @thirds(%x: tensor<?x3xf32> {transformer.name = "x", transformer.dims = ["B", ""]}) -> (tensor<?x3xf32> {transformer.name = "y", transformer.dims = ["B", ""]}, tensor<1xi32>) {
  %three = arith.constant 3.0 : f32
  %c0 = arith.constant 0 : index
  %b = tensor.dim %x, %c0 : tensor<?x3xf32>
  %0 = tensor.splat %three[%b] : tensor<?x3xf32>
  %1 = arith.divf %x, %0 : tensor<?x3xf32>
  %2 = arith.constant dense<3> : tensor<1xi32>
  return %1, %2 : tensor<?x3xf32>, tensor<1xi32>
}

// Caches start empty, with the rows of the input; i64 ids are narrowed.
// RUN: tf-interpret %s --entry=length --input ids=%t.ids.npy --output n=%t.n.npy
// RUN: %python %test_tools/npy.py show %t.n.npy | FileCheck %s --check-prefix=LENGTH
// LENGTH: i8 (2,) 0 0
func.func @length(%ids: tensor<?x?xi32> {transformer.name = "ids", transformer.dims = ["B", "S"], transformer.range = array<i64: 0, 3>}, %c: !transformer.kv_cache<1 x 1 x f32, full>) -> (tensor<?xi32> {transformer.name = "n"}, !transformer.kv_cache<1 x 1 x f32, full>) {
  %0 = transformer.cache_length %c : !transformer.kv_cache<1 x 1 x f32, full> -> tensor<?xi32>
  return %0, %c : tensor<?xi32>, !transformer.kv_cache<1 x 1 x f32, full>
}

// Errors are one line that says what to do.
// RUN: not tf-interpret %s --entry=nothing 2>&1 | FileCheck %s --check-prefix=ENTRY
// ENTRY: tf-interpret: error: no entry point named 'nothing'; there are thirds, length, fails
// RUN: not tf-interpret %s --entry=thirds 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: input 'x' is missing: --input x=FILE.npy
// RUN: not tf-interpret %s --entry=thirds --input x=%t.x.npy --input y=%t.x.npy 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: @thirds has no input named 'y'; it has x
// RUN: not tf-interpret %s --entry=thirds --input x=%t.x.npy --output z=%t.z.npy 2>&1 | FileCheck %s --check-prefix=OUTPUT
// OUTPUT: @thirds has no output named 'z'; it has y, result1
// RUN: not tf-interpret %s --entry=thirds --input x 2>&1 | FileCheck %s --check-prefix=FORM
// FORM: --input=x: expected NAME=FILE.npy
// RUN: not tf-interpret %s --entry=thirds --input x=%t.ids.npy 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: expected floats
// RUN: %python %test_tools/npy.py write %t.wide.npy f4 1,4 1 2 3 4
// RUN: not tf-interpret %s --entry=thirds --input x=%t.wide.npy 2>&1 | FileCheck %s --check-prefix=SHAPE
// SHAPE: input 'x' is 'tensor<1x4xf32>', which is not what @thirds takes
// RUN: %python %test_tools/npy.py write %t.range.npy i4 1,1 3
// RUN: not tf-interpret %s --entry=length --input ids=%t.range.npy 2>&1 | FileCheck %s --check-prefix=RANGE
// RANGE: input 'ids' holds 3, outside [0, 3)
// RUN: %python %test_tools/npy.py write %t.range.npy i8 1,1 4294967296
// RUN: not tf-interpret %s --entry=length --input ids=%t.range.npy 2>&1 | FileCheck %s --check-prefix=NARROW
// NARROW: 4294967296 does not fit

// What fails at run time is said with its place.
// RUN: not tf-interpret %s --entry=fails --input x=%t.x.npy 2>&1 | FileCheck %s --check-prefix=FAILS
// FAILS: tf-interpret.mlir{{.*}}'tensor.extract' op uses index 2 of a dimension of 2
func.func @fails(%x: tensor<?x3xf32> {transformer.name = "x"}) -> f32 {
  %c2 = arith.constant 2 : index
  %0 = tensor.extract %x[%c2, %c2] : tensor<?x3xf32>
  return %0 : f32
}
