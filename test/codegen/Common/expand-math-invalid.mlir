// Functions without a polynomial are told here, not by the linker.
// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-expand-math

func.func @wide(%x: f64) -> f64 {
  // expected-error @+1 {{'math.exp' op has no polynomial for 'f64'; write it with exp, log, tanh or erf in f32}}
  %0 = math.exp %x : f64
  return %0 : f64
}

// -----

func.func @remainder(%x: f32, %y: f32) -> f32 {
  // expected-error @+1 {{'arith.remf' op has no polynomial for 'f32'}}
  %0 = arith.remf %x, %y : f32
  return %0 : f32
}
