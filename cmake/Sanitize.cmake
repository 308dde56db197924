# The sanitized build: whatever reads files of others, its unit tests and the fuzz targets.

# Without recovery: a finding of UBSan ends the process as one of AddressSanitizer does. `vptr` and `function` need
# libraries that are built the same way, which LLVM's are not.
set(XFM_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize=vptr,function -fno-sanitize-recover=all
  -fno-omit-frame-pointer)
# One set of objects for the tests and the fuzz targets.
add_compile_options(${XFM_SANITIZE_FLAGS} -fsanitize=fuzzer-no-link -O1 -g1)
add_link_options(${XFM_SANITIZE_FLAGS})
# LLVM's allocators are shared with libLLVM, which does not tell what it hands out.
set(XFM_SANITIZER_OPTIONS "ASAN_OPTIONS=allow_user_poisoning=0:detect_odr_violation=0:allocator_may_return_null=1;UBSAN_OPTIONS=print_stacktrace=1")

add_subdirectory(runtime)
add_subdirectory(runtime/text)
add_subdirectory(tools/tfrun)
add_subdirectory(test/unit/runtime)
add_subdirectory(test/unit/text)

include(cmake/Xfm.cmake)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_subdirectory(dialect EXCLUDE_FROM_ALL)
add_subdirectory(weights)
add_subdirectory(import)
add_subdirectory(test/unit/weights)
add_subdirectory(test/unit/import)
add_subdirectory(test/fuzz)

# A program is one test, as starting each of its tests by itself takes long. `ctest -R '^sanitized'` runs these, without
# the single tests that the folders above name.
foreach(program IN ITEMS runtime-tests runtime-cuda-tests text-tests weights-tests import-tests)
  add_test(NAME sanitized.${program} COMMAND ${program})
  set_tests_properties(sanitized.${program} PROPERTIES ENVIRONMENT "${XFM_SANITIZER_OPTIONS}" TIMEOUT 600)
endforeach()
