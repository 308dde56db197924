// What form-dispatches refuses where the check before it has not run.
// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-form-dispatches

// expected-error @+1 {{expected one block: entry functions are straight-line code}}
func.func @blocks(%p: i1) {
  cf.cond_br %p, ^bb1, ^bb1
^bb1:
  return
}

// -----

func.func @two_results(%x: tensor<4xf32>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  // expected-error @+1 {{expected one result: a dispatch computes one tensor}}
  %0:2 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e, %e : tensor<4xf32>, tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    linalg.yield %a, %a : f32, f32
  } -> (tensor<4xf32>, tensor<4xf32>)
  return %0#0 : tensor<4xf32>
}
