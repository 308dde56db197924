// Configs from a file take the place of those the pass would choose.
// RUN: split-file %s %t
// RUN: tfopt %t/input.mlir --transformer-select-strategy="vector-bytes=32 overrides=%t/good.json" | FileCheck %t/input.mlir
// RUN: not tfopt %t/input.mlir --transformer-select-strategy=overrides=%t/nobody.json 2>&1 | FileCheck %s --check-prefix=NOBODY
// RUN: not tfopt %t/input.mlir --transformer-select-strategy=overrides=%t/unsuited.json 2>&1 | FileCheck %s --check-prefix=UNSUITED
// RUN: not tfopt %t/input.mlir --transformer-select-strategy=overrides=%t/member.json 2>&1 | FileCheck %s --check-prefix=MEMBER
// RUN: not tfopt %t/input.mlir --transformer-select-strategy=overrides=%t/range.json 2>&1 | FileCheck %s --check-prefix=RANGE
// RUN: not tfopt %t/input.mlir --transformer-select-strategy=overrides=%t/broken.json 2>&1 | FileCheck %s --check-prefix=BROKEN
// RUN: not tfopt %t/input.mlir --transformer-select-strategy=overrides=%t/absent.json 2>&1 | FileCheck %s --check-prefix=ABSENT

// NOBODY: error: no dispatch is named "other.*" as {{.*}}nobody.json says
// UNSUITED: error: {{.*}}unsuited.json: the template "tiles" cannot make this dispatch; it is for rows
// MEMBER: error: {{.*}}member.json: "unroll" is no member of a config with this value; use template, tile [rows, columns], vector, grain
// RANGE: error: {{.*}}range.json: expected tile members of 1 to 64, a vector of 1 to 64 elements that is a power of two, and a grain of 1 or more
// BROKEN: error: {{.*}}broken.json:
// ABSENT: error: cannot read {{.*}}absent.json: No such file or directory

//--- good.json
{"layer.*": {"vector": 4, "grain": 7}}
//--- nobody.json
{"other.*": {"vector": 4}}
//--- unsuited.json
{"layer.double": {"template": "tiles"}}
//--- member.json
{"layer.double": {"unroll": 4}}
//--- range.json
{"layer.double": {"vector": 12}}
//--- broken.json
{"layer.double": {
//--- input.mlir
// The matching dispatch has the file's numbers, the other the pass's own.
// CHECK: @layer.double
// CHECK-SAME: template = "rows", tile = [1, 8], vector = 4, grain = 7
// CHECK: @kept
// CHECK-SAME: vector = 8
func.func private @layer.double(%x: tensor<?x8xf32>, %o: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {transformer.dispatch} {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%o : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func private @kept(%x: tensor<?x8xf32>, %o: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {transformer.dispatch} {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%o : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.mulf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
