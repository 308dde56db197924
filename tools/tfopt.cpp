#include "codegen/Passes.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<mlir::transformer::TransformerDialect>();
  mlir::registerAllPasses();
  mlir::transformer::registerTransformerCodegenPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "tfopt", registry));
}
