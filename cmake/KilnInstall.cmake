# The installed tree: headers under include/kiln, archives, and a CMake package with kiln_add_graph.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Kiln)

set(installed kiln_dsl kiln_compiler kiln_runtime)
foreach(tool compile train predict shared)
  if(TARGET kiln_${tool}_main)
    list(APPEND installed kiln_${tool}_main)
  endif()
endforeach()
install(TARGETS ${installed} EXPORT KilnTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS kiln_convert EXPORT KilnTargets RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT KilnTargets NAMESPACE Kiln:: DESTINATION ${package_dir})

# What graph files include; compiler/ops/ has one more header a stage of the compiler, which does no harm.
foreach(folder dsl ir ops)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/compiler/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kiln
          FILES_MATCHING PATTERN *.h)
endforeach()
install(FILES ${CMAKE_BINARY_DIR}/generated_sources/dsl/operators.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kiln/dsl)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kiln/runtime
        FILES_MATCHING PATTERN *.h PATTERN tools EXCLUDE)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/KilnConfig.cmake.in ${CMAKE_BINARY_DIR}/KilnConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/KilnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/KilnConfig.cmake ${CMAKE_BINARY_DIR}/KilnConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/KilnDependencies.cmake ${PROJECT_SOURCE_DIR}/cmake/KilnGraph.cmake
              ${PROJECT_SOURCE_DIR}/cmake/linked_model.cpp.in ${PROJECT_SOURCE_DIR}/cmake/graph_schedule.cpp.in
              ${PROJECT_SOURCE_DIR}/cmake/compile_graph.sh ${PROJECT_SOURCE_DIR}/cmake/shared.map
        DESTINATION ${package_dir})
