// Functions of libm become polynomials; what has an instruction stays.
// RUN: tfopt %s --transformer-expand-math | FileCheck %s

// CHECK-LABEL: func @polynomials
// CHECK-NOT: math.{{exp|tanh|erf|log|sin|cos}}
// CHECK: return
func.func @polynomials(%x: vector<8xf32>, %s: f32) -> (vector<8xf32>, f32) {
  %0 = math.exp %x : vector<8xf32>
  %1 = math.tanh %0 : vector<8xf32>
  %2 = math.erf %1 : vector<8xf32>
  %3 = math.log %2 : vector<8xf32>
  %4 = math.sin %3 : vector<8xf32>
  %5 = math.exp %s : f32
  return %4, %5 : vector<8xf32>, f32
}

// What is below 2^-126 becomes zero. A comparison with NaN decides for the argument.
// CHECK-LABEL: func @exp
// CHECK-SAME: %[[X:.*]]: f32
// CHECK: %[[C:.*]] = arith.cmpf uge, %[[X]], %[[LEAST:.*]] : f32
// CHECK: arith.select %[[C]], %[[X]], %[[LEAST]]
// CHECK: %[[TINY:.*]] = arith.cmpf olt, %[[X]], %[[LEAST]]
// CHECK: %[[Y:.*]] = arith.select %[[TINY]]
// CHECK: return %[[Y]]
func.func @exp(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// Others go through these.
// CHECK-LABEL: func @through_others
// CHECK-NOT: math.{{powf|exp|log|atan}}
// CHECK: return
func.func @through_others(%x: vector<8xf32>, %y: vector<8xf32>) -> vector<8xf32> {
  %0 = math.atan2 %x, %y : vector<8xf32>
  %1 = math.powf %0, %y : vector<8xf32>
  return %1 : vector<8xf32>
}

// Without an instruction, fma would be a call: the backend fuses where it has one.
// CHECK-LABEL: func @fma
// CHECK: %[[P:.*]] = arith.mulf %{{.*}} fastmath<contract>
// CHECK: arith.addf %[[P]], %{{.*}} fastmath<contract>
func.func @fma(%a: vector<8xf32>, %b: vector<8xf32>, %c: vector<8xf32>) -> vector<8xf32> {
  %0 = math.fma %a, %b, %c : vector<8xf32>
  return %0 : vector<8xf32>
}

// Declined: one instruction each.
// CHECK-LABEL: func @instructions
// CHECK: math.sqrt
// CHECK: math.rsqrt
// CHECK: math.absf
func.func @instructions(%x: vector<8xf32>) -> vector<8xf32> {
  %0 = math.sqrt %x : vector<8xf32>
  %1 = math.rsqrt %0 : vector<8xf32>
  %2 = math.absf %1 : vector<8xf32>
  return %2 : vector<8xf32>
}
