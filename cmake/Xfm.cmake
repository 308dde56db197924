# LLVM and MLIR 22, and the wrappers every folder of the compiler uses.

find_package(MLIR 22.1 REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
find_package(Threads REQUIRED)

include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
include_directories(${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
add_definitions(${LLVM_DEFINITIONS})
add_compile_options(-Wall -Wextra -Werror -Wno-unused-parameter
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()

# One precompiled header for all of the compiler: MLIR's headers cost seconds a file otherwise.
add_library(xfm-pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/Pch.cpp)
target_precompile_headers(xfm-pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/Pch.h)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set_target_properties(xfm-pch PROPERTIES PCH_INSTANTIATE_TEMPLATES ON)
  target_compile_options(xfm-pch PRIVATE -Xclang -fno-pch-timestamp)
endif()

# xfm_add_library(name SOURCES a.cpp… [LINK targets…] [DEPENDS tablegen targets…])
function(xfm_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_precompile_headers(${name} REUSE_FROM xfm-pch)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${name} PRIVATE -Xclang -fno-pch-timestamp)
  endif()
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  # The shared libraries alone: linking a static MLIR library beside them would double every TypeID.
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM Threads::Threads)
endfunction()

function(xfm_add_tool name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()

# lld as a library; its own CMake package would bring the static LLVM in.
find_library(XFM_LLD_ELF lldELF PATHS ${LLVM_LIBRARY_DIR} NO_DEFAULT_PATH REQUIRED)
find_library(XFM_LLD_COMMON lldCommon PATHS ${LLVM_LIBRARY_DIR} NO_DEFAULT_PATH REQUIRED)
find_package(ZLIB REQUIRED)
find_library(XFM_ZSTD zstd REQUIRED)
set(XFM_LLD ${XFM_LLD_ELF} ${XFM_LLD_COMMON} ZLIB::ZLIB ${XFM_ZSTD})

# xfm_add_doc(file.md input.td mlir-tblgen options…): a page of build/docs, made by the target docs
function(xfm_add_doc page input)
  set(output ${PROJECT_BINARY_DIR}/docs/${page})
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/docs)
  list(TRANSFORM MLIR_INCLUDE_DIRS PREPEND -I OUTPUT_VARIABLE includes)
  add_custom_command(OUTPUT ${output}
    COMMAND ${MLIR_TABLEGEN_EXE} ${ARGN} -I${PROJECT_SOURCE_DIR} ${includes}
            ${CMAKE_CURRENT_SOURCE_DIR}/${input} -o ${output} -d ${output}.d
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${input}
    DEPFILE ${output}.d
    COMMENT "Writing docs/${page}")
  string(MAKE_C_IDENTIFIER docs-${page} name)
  add_custom_target(${name} DEPENDS ${output})
  if(NOT TARGET docs)
    add_custom_target(docs)
  endif()
  add_dependencies(docs ${name})
endfunction()
