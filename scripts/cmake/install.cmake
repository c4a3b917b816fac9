# `cmake --install`: the command, the libraries with their headers, and a package for find_package(galatea).
set(rooms format verify eval quantize converter)
install(TARGETS galatea_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(room ${rooms})
  install(TARGETS galatea_${room} EXPORT galatea ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/galatea)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/galatea/${room}
          FILES_MATCHING PATTERN "*.h" PATTERN "*command*" EXCLUDE)
endforeach()
install(TARGETS galatea_sentencepiece EXPORT galatea)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/galatea)
install(EXPORT galatea NAMESPACE galatea:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/scripts/cmake/galateaConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/galateaConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/galateaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/galateaConfig.cmake ${PROJECT_BINARY_DIR}/galateaConfigVersion.cmake
        DESTINATION ${package_dir})
