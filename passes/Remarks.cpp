//===- Remarks.cpp - what passes did, and what they nearly did ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Remarks.h"

#include "mlir/IR/Location.h"
#include "mlir/IR/Remarks.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Remark/RemarkStreamer.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace mlir::transformer;

static constexpr StringLiteral kCategory = "transformer";

static remark::RemarkOpts optionsOf(Operation *op, StringRef pass) {
  auto function = op->getParentOfType<FunctionOpInterface>();
  pass.consume_front("transformer-");
  return remark::RemarkOpts::name(pass).category(kCategory).function(function ? function.getName()
                                                                              : StringRef());
}

void mlir::transformer::passed(Operation *op, StringRef pass, const Twine &what) {
  if (op->getContext()->getRemarkEngine())
    remark::passed(op->getLoc(), optionsOf(op, pass)) << StringRef(what.str());
}

LogicalResult mlir::transformer::missed(RewriterBase &rewriter, Operation *op, StringRef pass,
                                        StringRef operand, const Twine &reason, const Twine &change) {
  using Arg = remark::detail::Remark::Arg;
  if (op->getContext()->getRemarkEngine())
    remark::missed(op->getLoc(), optionsOf(op, pass))
        << Arg("Operand", operand) << Arg("Reason", reason.str()) << Arg("Suggestion", change.str());
  return rewriter.notifyMatchFailure(op, operand + ": " + reason);
}

std::string mlir::transformer::placeOf(Location loc) {
  std::string place;
  llvm::raw_string_ostream os(place);
  loc->walk([&](Location part) {
    if (auto name = dyn_cast<NameLoc>(part))
      os << name.getName().getValue();
    else if (auto file = dyn_cast<FileLineColLoc>(part))
      os << file.getFilename().getValue() << ':' << file.getLine() << ':' << file.getColumn();
    else
      return WalkResult::advance();
    return WalkResult::interrupt();
  });
  return place.empty() ? "unknown place" : place;
}

//===----------------------------------------------------------------------===//
// Where remarks go
//===----------------------------------------------------------------------===//

namespace {

/// Lines for people, and LLVM's YAML.
class Streamer : public remark::detail::MLIRRemarkStreamerBase {
public:
  Streamer(llvm::raw_ostream *lines, std::unique_ptr<MLIRRemarkStreamerBase> file)
      : lines(lines), file(std::move(file)) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    if (file)
      file->streamOptimizationRemark(remark);
    if (!lines)
      return;
    // Entry points repeat each other: the same line once is enough.
    std::string line = lineOf(remark);
    if (seen.insert(line).second)
      *lines << line << '\n';
  }

  void finalize() override {
    if (file)
      file->finalize();
  }

private:
  static std::string lineOf(const remark::detail::Remark &remark) {
    std::string line;
    llvm::raw_string_ostream os(line);
    bool isMissed = remark.getRemarkType() == llvm::remarks::Type::Missed;
    os << "remark: " << placeOf(remark.getLocation()) << ": " << remark.getRemarkName()
       << (isMissed ? " missed: " : ": ");
    for (const auto &arg : remark.getArgs()) {
      if (arg.key == "Reason")
        os << ' ';
      else if (arg.key == "Suggestion")
        os << "; ";
      os << arg.val;
      if (arg.key == "Operand")
        os << ':';
    }
    return line;
  }

  llvm::raw_ostream *lines;
  std::unique_ptr<MLIRRemarkStreamerBase> file;
  llvm::StringSet<> seen;
};

} // namespace

llvm::Error mlir::transformer::enableRemarks(MLIRContext &context, const RemarkOptions &options) {
  std::unique_ptr<remark::detail::MLIRRemarkStreamerBase> file;
  if (!options.file.empty()) {
    auto created =
        remark::detail::LLVMRemarkStreamer::createToFile(options.file, llvm::remarks::Format::YAML);
    if (failed(created))
      return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                     "cannot write the remarks to " + options.file);
    file = std::move(*created);
  }
  remark::RemarkCategories categories;
  if (options.passed)
    categories.passed = kCategory.str();
  if (options.missed)
    categories.missed = kCategory.str();
  if (failed(remark::enableOptimizationRemarks(
          context, std::make_unique<Streamer>(options.lines, std::move(file)),
          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories)))
    return llvm::createStringError(llvm::inconvertibleErrorCode(), "remarks cannot be enabled");
  return llvm::Error::success();
}
