// Each op that is left is reported, not only the first.
// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-check-lowered

// expected-error @+1 {{'func.func' has no lowering to machine code; rewrite it with other ops}}
func.func @f(%x: f32) -> f32 {
  // expected-error @+1 {{'math.exp' has no lowering to machine code; rewrite it with other ops}}
  %0 = math.exp %x : f32
  // expected-error @+1 {{'func.return' has no lowering to machine code; rewrite it with other ops}}
  return %0 : f32
}
