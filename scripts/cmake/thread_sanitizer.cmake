# The thread sanitizer knows nothing of OpenMP's barriers and would see races where there are none. Clang's
# OpenMP tells it through Archer, a library beside it, which finds itself when it is linked.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  message(FATAL_ERROR "The thread sanitizer needs Clang, whose OpenMP it understands (cmake --preset tsan)")
endif()
get_filename_component(libomp_folder "${OpenMP_omp_LIBRARY}" REALPATH)
get_filename_component(libomp_folder "${libomp_folder}" DIRECTORY)
find_library(ARCHER_LIBRARY archer HINTS ${libomp_folder})
if(NOT ARCHER_LIBRARY)
  galatea_missing("Archer (OpenMP for the thread sanitizer)" libomp-dev)
endif()
target_link_options(galatea_flags INTERFACE
  -Wl,--no-as-needed ${ARCHER_LIBRARY} -Wl,--as-needed -Wl,-rpath,${libomp_folder})
# What the programs need in their environment: libomp itself is not instrumented.
set(GALATEA_TEST_ENVIRONMENT TSAN_OPTIONS=ignore_noninstrumented_modules=1)
