# kiln_add_graph(<name> <file.cpp or .onnx> [OUTPUT <folder>] [COMPILE_FLAGS <flag>...] [LOSS <loss>])
#
# Makes of a graph file, or of an ONNX model, of which kiln_convert first writes <current build folder>/<name>.cpp (trained on
# the loss; see its --help),
#   <name>_compile  the compiler of that graph,
#   <folder>/<name>.o and <name>.h, by running it (with the flags; folder: <current build folder>/<name>),
#   <name>_train and <name>_predict, which are linked with the object and need neither Halide nor LLVM,
#   lib<name>.so, target <name>_shared: the predictor for C and other languages, by kiln_predictor.h.
# Where the file has a neighbour <file>.schedule, its kernels are scheduled as that says.
function(kiln_add_graph name file)
  cmake_parse_arguments(PARSE_ARGV 2 graph "" "OUTPUT;LOSS" "COMPILE_FLAGS")
  if(graph_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kiln_add_graph(${name}): unknown arguments: ${graph_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT name MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
    message(FATAL_ERROR "kiln_add_graph(${name}): the name becomes part of a C symbol; use letters, digits and _")
  endif()
  get_filename_component(file ${file} ABSOLUTE)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "kiln_add_graph(${name}): no file ${file}")
  endif()
  if(NOT graph_OUTPUT)
    set(graph_OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name})
  endif()
  get_filename_component(output ${graph_OUTPUT} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_BINARY_DIR})

  # The graph file by itself: it sees the DSL only, so that an edit rebuilds in seconds. Its locations are relative to
  # the project, as a person would write them, and hold on every machine.
  set(source ${file})
  if(file MATCHES "\\.onnx$")
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
    set(loss "")
    if(graph_LOSS)
      set(loss --loss ${graph_LOSS})
    endif()
    add_custom_command(
      OUTPUT ${source}
      COMMAND $<TARGET_FILE:Kiln::convert> ${file} ${source} ${loss}
      DEPENDS ${file} Kiln::convert
      COMMENT "Writing ${name}.cpp"
      VERBATIM)
  elseif(graph_LOSS)
    message(FATAL_ERROR "kiln_add_graph(${name}): LOSS is for ONNX models; ${file} says its own")
  endif()
  add_library(${name}_graph OBJECT ${source})
  target_link_libraries(${name}_graph PRIVATE Kiln::dsl)
  target_compile_options(${name}_graph PRIVATE -O0 -Wall -Wextra -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=
                         -fmacro-prefix-map=${CMAKE_CURRENT_BINARY_DIR}/=)
  if(NOT TARGET Kiln::compile_main)
    return()
  endif()

  # What --autotune wrote beside the graph, or a person.
  get_filename_component(base ${file} NAME_WLE)
  get_filename_component(folder ${file} DIRECTORY)
  set(KILN_SCHEDULE_FILE ${folder}/${base}.schedule)
  file(GLOB schedule CONFIGURE_DEPENDS ${KILN_SCHEDULE_FILE})
  set(graph_schedule ${CMAKE_CURRENT_BINARY_DIR}/${name}_graph_schedule.cpp)
  configure_file(${KILN_CMAKE_DIR}/graph_schedule.cpp.in ${graph_schedule} @ONLY)

  add_executable(${name}_compile $<TARGET_OBJECTS:${name}_graph> ${graph_schedule})
  target_link_libraries(${name}_compile PRIVATE Kiln::compile_main)

  set(object ${output}/${name}.o)
  add_custom_command(
    OUTPUT ${object} ${output}/${name}.h
    COMMAND sh ${KILN_CMAKE_DIR}/compile_graph.sh ${name} ${file} ${output} $<TARGET_FILE:${name}_compile>
            ${graph_COMPILE_FLAGS}
    DEPENDS ${name}_compile ${schedule} ${KILN_CMAKE_DIR}/compile_graph.sh
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}  # the locations' base: errors quote the line
    COMMENT "Compiling graph ${name}"
    VERBATIM)
  add_custom_target(${name}_object DEPENDS ${object})
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)

  set(KILN_GRAPH_NAME ${name})
  set(linked_model ${CMAKE_CURRENT_BINARY_DIR}/${name}_linked_model.cpp)
  configure_file(${KILN_CMAKE_DIR}/linked_model.cpp.in ${linked_model} @ONLY)
  foreach(tool train predict)
    if(TARGET Kiln::${tool}_main)
      add_executable(${name}_${tool} ${linked_model} ${object})
      add_dependencies(${name}_${tool} ${name}_object)
      target_link_libraries(${name}_${tool} PRIVATE Kiln::${tool}_main)
      # They run it for other tools' files, from their own folder.
      add_dependencies(${name}_${tool} Kiln::convert)
      add_custom_command(TARGET ${name}_${tool} POST_BUILD VERBATIM
                         COMMAND ${CMAKE_COMMAND} -E copy_if_different $<TARGET_FILE:Kiln::convert>
                                 $<TARGET_FILE_DIR:${name}_${tool}>)
    endif()
  endforeach()
  if(TARGET Kiln::shared_main)
    add_library(${name}_shared SHARED ${linked_model} ${object})
    add_dependencies(${name}_shared ${name}_object)
    set_target_properties(${name}_shared PROPERTIES OUTPUT_NAME ${name})
    target_link_libraries(${name}_shared PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,Kiln::shared_main>)
    target_link_options(${name}_shared PRIVATE LINKER:--version-script=${KILN_CMAKE_DIR}/shared.map)
    set_target_properties(${name}_shared PROPERTIES LINK_DEPENDS ${KILN_CMAKE_DIR}/shared.map)
  endif()
endfunction()

# kiln_install_graph(<name>)
# Installs <name>_train, <name>_predict, kiln_convert, lib<name>.so and kiln_predictor.h; man pages of their --help where
# help2man is found; and completion of their flags for bash. With include(CPack) that is what a package holds.
function(kiln_install_graph name)
  include(GNUInstallDirs)
  find_program(KILN_HELP2MAN help2man)
  foreach(tool ${name}_train ${name}_predict)
    install(TARGETS ${tool} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    set(completion ${CMAKE_CURRENT_BINARY_DIR}/completions/${tool})
    file(WRITE ${completion} "# _longopt reads the flags that --help prints.\ncomplete -F _longopt ${tool}\n")
    install(FILES ${completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    if(KILN_HELP2MAN)
      set(page ${CMAKE_CURRENT_BINARY_DIR}/man/${tool}.1)
      file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/man)
      add_custom_command(OUTPUT ${page} DEPENDS ${tool} VERBATIM
                         COMMAND ${KILN_HELP2MAN} --no-info --output=${page} $<TARGET_FILE:${tool}>)
      add_custom_target(${tool}_man ALL DEPENDS ${page})
      install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    endif()
  endforeach()
  install(TARGETS ${name}_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(PROGRAMS $<TARGET_FILE:Kiln::convert> DESTINATION ${CMAKE_INSTALL_BINDIR})
  get_target_property(folders Kiln::runtime INTERFACE_INCLUDE_DIRECTORIES)  # of an installed Kiln
  find_file(KILN_PREDICTOR_HEADER kiln_predictor.h PATHS ${KILN_CMAKE_DIR}/../runtime ${folders} NO_DEFAULT_PATH REQUIRED)
  install(FILES ${KILN_PREDICTOR_HEADER} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

set(KILN_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR} CACHE INTERNAL "Folder of Kiln's CMake files")
