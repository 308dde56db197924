//===- TransformerBase.td - dialect, base classes --------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_TRANSFORMERBASE
#define DIALECT_TRANSFORMERBASE

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Transformer_Dialect : Dialect {
  let name = "transformer";
  let cppNamespace = "::mlir::transformer";
  let summary = "Transformer models on tensors and weight symbols";
  let description = [{
    The dialect states what a Transformer computes: projections, norms, rotary
    positions, attention with its mask as algebra, key/value caches as linear
    values. Weights are symbols that name a tensor in a checkpoint or a *derived
    weight*, a transformation evaluated after all passes; no weight data stands
    in the IR.

    Element types state storage. Every op computes as if in exact arithmetic and
    rounds once, where its result is stored. Activations are `[B, S, ...]`: rows
    of a batch, positions of a sequence.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect", "::mlir::LLVM::LLVMDialect"
  ];
}

class Transformer_Type<string name, string typeMnemonic, list<Trait> traits = []>
    : TypeDef<Transformer_Dialect, name, traits> {
  let mnemonic = typeMnemonic;
}

class Transformer_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Transformer_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

class Transformer_Op<string mnemonic, list<Trait> traits = []>
    : Op<Transformer_Dialect, mnemonic, traits>;

/// An op without side effects on tensors whose result dimensions can be computed
/// from its operands.
class Transformer_TensorOp<string mnemonic, list<Trait> traits = []>
    : Transformer_Op<mnemonic, !listconcat(traits, [
        Pure,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>
      ])>;

def Transformer_Float : AnyTypeOf<[F32, F16, BF16], "f32, f16 or bf16">;
class Transformer_FloatTensor<list<int> ranks>
    : TensorRankOf<[F32, F16, BF16], ranks>;
/// Activations of any rank from one up.
def Transformer_Activations : RankedTensorOf<[F32, F16, BF16]>;

#endif // DIALECT_TRANSFORMERBASE
