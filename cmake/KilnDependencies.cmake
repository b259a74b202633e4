# Libraries that Kiln is built on. Used by Kiln's own build and, installed, by projects that say find_package(Kiln).
#
# Where they are looked for:
#   KILN_HALIDE_ROOT  folder with include/Halide.h and lib64/libHalide.so: the `halide` folder of the PyPI wheel, by
#                     default that of the Python environment .deps/ which ./run makes
#   KILN_LLVM_ROOT    folder with include/llvm and lib/libLLVM-22.so, by default Debian's /usr/lib/llvm-22
# The others come from the system.

find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)

# Halide's own CMake package wants Python's, PNG's and JPEG's too; a library and a folder are all that is needed here.
if(NOT TARGET Kiln::Halide)
  if(NOT KILN_HALIDE_ROOT)
    file(GLOB _kiln_wheel ${CMAKE_CURRENT_LIST_DIR}/../.deps/lib/python3*/site-packages/halide)
    set(KILN_HALIDE_ROOT "${_kiln_wheel}" CACHE PATH "Folder with include/Halide.h and lib64/libHalide.so" FORCE)
  endif()
  find_path(KILN_HALIDE_INCLUDE Halide.h HINTS ${KILN_HALIDE_ROOT}/include)
  find_library(KILN_HALIDE_LIBRARY Halide HINTS ${KILN_HALIDE_ROOT} PATH_SUFFIXES lib64 lib)
  if(NOT KILN_HALIDE_INCLUDE OR NOT KILN_HALIDE_LIBRARY)
    message(FATAL_ERROR "Halide 21 not found in KILN_HALIDE_ROOT='${KILN_HALIDE_ROOT}': "
                        "run './run setup' in Kiln's folder, or 'pip install halide==21.0.0' and pass "
                        "-DKILN_HALIDE_ROOT=<site-packages>/halide")
  endif()
  add_library(Kiln::Halide SHARED IMPORTED)
  set_target_properties(Kiln::Halide PROPERTIES IMPORTED_LOCATION ${KILN_HALIDE_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${KILN_HALIDE_INCLUDE})
endif()

# Likewise LLVM's package asks for every library that LLVM itself was built with.
if(NOT TARGET Kiln::LLVM)
  set(KILN_LLVM_ROOT /usr/lib/llvm-22 CACHE PATH "Folder with include/llvm and lib/libLLVM-22.so")
  find_path(KILN_LLVM_INCLUDE llvm/IR/IRBuilder.h HINTS ${KILN_LLVM_ROOT}/include NO_DEFAULT_PATH)
  find_library(KILN_LLVM_LIBRARY LLVM-22 HINTS ${KILN_LLVM_ROOT}/lib)
  if(NOT KILN_LLVM_INCLUDE OR NOT KILN_LLVM_LIBRARY)
    message(FATAL_ERROR "LLVM 22 not found in KILN_LLVM_ROOT='${KILN_LLVM_ROOT}': install Debian's llvm-22-dev, or "
                        "pass -DKILN_LLVM_ROOT=<folder of LLVM 22>")
  endif()
  add_library(Kiln::LLVM SHARED IMPORTED)
  set_target_properties(Kiln::LLVM PROPERTIES IMPORTED_LOCATION ${KILN_LLVM_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${KILN_LLVM_INCLUDE})
endif()

if(NOT TARGET Kiln::Graphviz)
  find_path(KILN_GRAPHVIZ_INCLUDE graphviz/gvc.h REQUIRED)
  find_library(KILN_GVC_LIBRARY gvc REQUIRED)
  find_library(KILN_CGRAPH_LIBRARY cgraph REQUIRED)
  add_library(Kiln::Graphviz INTERFACE IMPORTED)
  # Its headers include each other without the folder's name.
  target_include_directories(Kiln::Graphviz INTERFACE ${KILN_GRAPHVIZ_INCLUDE} ${KILN_GRAPHVIZ_INCLUDE}/graphviz)
  target_link_libraries(Kiln::Graphviz INTERFACE ${KILN_GVC_LIBRARY} ${KILN_CGRAPH_LIBRARY})
endif()

if(NOT TARGET Kiln::deflate)
  find_path(KILN_DEFLATE_INCLUDE libdeflate.h REQUIRED)
  find_library(KILN_DEFLATE_LIBRARY deflate REQUIRED)
  add_library(Kiln::deflate UNKNOWN IMPORTED)
  set_target_properties(Kiln::deflate PROPERTIES IMPORTED_LOCATION ${KILN_DEFLATE_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${KILN_DEFLATE_INCLUDE})
endif()
