# What `./run coverage` adds to the build, as CMAKE_PROJECT_INCLUDE: clang counts what was written, where gcc counts what it
# made of it. Counters lie in the profile's file itself, so that processes that are killed or leave by _exit are counted.
add_compile_options(-w -fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic -fprofile-continuous)
add_link_options(-fprofile-instr-generate -fprofile-continuous)

# Clang wants to know beforehand that a processor has the registers that an asm statement names.
cmake_language(DEFER CALL set_source_files_properties ${PROJECT_SOURCE_DIR}/runtime/roofline.cpp
               TARGET_DIRECTORY kiln_runtime PROPERTIES COMPILE_FLAGS "-mavx512f -mfma")
