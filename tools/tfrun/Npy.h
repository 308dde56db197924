//@ NumPy's array files

#ifndef XFM_TOOLS_TFRUN_NPY_H
#define XFM_TOOLS_TFRUN_NPY_H

#include "runtime/xfm.h"
#include "tools/tfrun/Output.h"

#include <string>
#include <string_view>
#include <vector>

namespace xfm::tfrun {

/// An array with its data.
struct Array {
  xfm_dtype dtype;
  std::vector<int64_t> dims;
  std::vector<char> data; ///< dense, row-major, little-endian

  xfm_tensor tensor() const;
};

/// Reads the bytes of an .npy file: f32, f16, i32, i64 or i8 in C order. Throws std::runtime_error saying what is wrong.
Array parseNpy(std::string_view bytes);

/// Reads an .npy file. Errors name it.
Array readNpy(const std::string &path);

/// Writes a tensor. bf16, which NumPy lacks, is written as f32.
void writeNpy(OutputFile &file, const xfm_tensor &tensor);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_NPY_H
