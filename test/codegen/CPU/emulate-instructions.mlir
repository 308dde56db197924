// Conversions of f16 and rounding become operations that every CPU has.
// RUN: tfopt %s --transformer-emulate-instructions | FileCheck %s --implicit-check-not='arith.{{extf|truncf}}'
// RUN: tfopt %s --transformer-emulate-instructions=f16=false | FileCheck %s --check-prefix=ROUNDING
// RUN: tfopt %s --transformer-emulate-instructions=rounding=false | FileCheck %s --check-prefix=F16

// The exponent is put right by a product.
// CHECK-LABEL: func @widen
// CHECK: arith.bitcast %{{.*}} : vector<4xf16> to vector<4xi16>
// CHECK: arith.mulf %{{.*}}, %{{.*}} : vector<4xf32>
// ROUNDING-LABEL: func @widen
// ROUNDING: arith.extf
// F16-LABEL: func @widen
// F16: arith.mulf
func.func @widen(%x: vector<4xf16>) -> vector<4xf32> {
  %0 = arith.extf %x : vector<4xf16> to vector<4xf32>
  return %0 : vector<4xf32>
}

// CHECK-LABEL: func @narrow
// CHECK: arith.trunci %{{.*}} : i32 to i16
// CHECK: arith.bitcast %{{.*}} : i16 to f16
func.func @narrow(%x: f32) -> f16 {
  %0 = arith.truncf %x : f32 to f16
  return %0 : f16
}

// CHECK-LABEL: func @round
// CHECK-NOT: math.{{floor|ceil|trunc|roundeven}}
// CHECK: return
// F16-LABEL: func @round
// F16: math.floor
// F16: math.roundeven
func.func @round(%x: vector<4xf32>) -> vector<4xf32> {
  %0 = math.floor %x : vector<4xf32>
  %1 = math.ceil %0 : vector<4xf32>
  %2 = math.trunc %1 : vector<4xf32>
  %3 = math.roundeven %2 : vector<4xf32>
  return %3 : vector<4xf32>
}
