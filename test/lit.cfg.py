"""lit configuration: every .mlir and .test under test/ with a RUN line is a test."""

import os

import lit.formats

config.name = "xfm"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
# GoogleTest reads these.
config.excludes = ["unit", "numeric", "goldens", "bench"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.xfm_test_dir

# Tests find the tools by name: ours first, then LLVM's FileCheck and not.
path = [config.xfm_tools_dir, config.llvm_tools_dir, config.environment["PATH"]]
config.environment["PATH"] = os.pathsep.join(path)
config.substitutions.append(("%python", config.python))
config.substitutions.append(("%source_dir", config.xfm_source_dir))
config.substitutions.append(("%test_tools", os.path.join(config.test_source_root, "tools")))
