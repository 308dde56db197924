// What plan-memory refuses.
// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-plan-memory

// A sum of sizes is no product: nothing says how it compares with the others.
func.func @xfm_entry_sum(%call: !llvm.ptr) -> i32
    attributes {transformer.entry = {name = "sum", sizes = ["S", "T"], arguments = [], results = []}} {
  %s = transformer.size %call[0]
  %t = transformer.size %call[1]
  %n = arith.addi %s, %t : index
  // expected-error @+1 {{expected sizes that are products of the call's symbolic sizes}}
  %a = memref.alloc(%n) : memref<?xf32>
  %zero = arith.constant 0 : i32
  return %zero : i32
}
