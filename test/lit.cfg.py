"""lit configuration: every .mlir and .test under test/ with a RUN line is a test."""

import os
import sys

import lit.formats

config.name = "xfm"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
# GoogleTest reads these.
config.excludes = ["Inputs", "unit", "numeric", "goldens", "bench", "fuzz", "lib"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.xfm_test_dir

# Tests find the tools by name: ours first, then LLVM's FileCheck and not.
path = [config.xfm_tools_dir, config.llvm_tools_dir, config.environment["PATH"]]
config.environment["PATH"] = os.pathsep.join(path)
# The interpreter itself: what CMake found may be a script that looks for it, at a third of a second a time.
config.substitutions.append(("%python", sys.executable))
config.substitutions.append(("%source_dir", config.xfm_source_dir))
config.substitutions.append(("%build_dir", config.xfm_build_dir))
config.substitutions.append(("%c_compiler", config.xfm_c_compiler))
config.substitutions.append(("%cxx_compiler", config.xfm_cxx_compiler))
config.substitutions.append(("%mlir_include", config.xfm_mlir_include))
config.substitutions.append(("%llvm_lib", config.xfm_llvm_lib))
config.substitutions.append(("%new_pass", os.path.join(config.xfm_source_dir, "tools/scripts/new_pass.py")))
config.substitutions.append(("%test_tools", os.path.join(config.test_source_root, "tools")))
# A command that must be refused as our tools refuse: one line, status 1, nothing left behind.
config.substitutions.append(("%fails", f"{sys.executable} {config.test_source_root}/tools/expect_error.py"))
config.substitutions.append(("%tiny_llama", f"{sys.executable} {config.test_source_root}/tools/tiny_llama.py"))
# What packing for a bare machine and building there needs beside the compiler.
headers = ["/usr/include/" + name for name in ("nlohmann", "CLI", "xxhash.h", "pcre2.h")]
if all(map(os.path.exists, [config.xfm_cxx_compiler, *headers])):
    config.available_features.add("bare-machine")
# lit takes most variables away from tests.
if "XFM_TEST_DATA" in os.environ:
    config.environment["XFM_TEST_DATA"] = os.environ["XFM_TEST_DATA"]
