# Target helpers. A folder's CMakeLists.txt is its dependency graph: a target
# links what it lists and nothing else.

# quantd_cc_library(NAME HDRS ... SRCS ... DEPS ...)
function(quantd_cc_library name)
  cmake_parse_arguments(ARG "" "" "HDRS;SRCS;DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS} ${ARG_HDRS})
    set(scope PUBLIC)
    target_compile_options(${name} PRIVATE ${QUANTD_WARNINGS})
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} ${scope} ${ARG_DEPS})
endfunction()

# quantd_cc_binary(NAME SRCS ... DEPS ...): lands in <build>/bin... directly
# under the build directory, so that `build/release/quantd` is the server.
function(quantd_cc_binary name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE ${QUANTD_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endfunction()

# quantd_cc_test(NAME SRCS ... DEPS ... [LABELS ...] [TIMEOUT seconds])
# One test binary per folder; ctest sees the binary as one test.
function(quantd_cc_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  if(NOT QUANTD_BUILD_TESTS)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE ${QUANTD_WARNINGS})
  target_link_libraries(${name} PRIVATE
    ${ARG_DEPS} quantd_project_paths GTest::gmock_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# quantd_cc_fuzzer(NAME SRCS ... DEPS ...): a libFuzzer target in the fuzz
# preset; in every other preset the same file is replayed over its corpus by
# the unit tests instead.
function(quantd_cc_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  if(NOT QUANTD_BUILD_FUZZERS)
    return()
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE ${QUANTD_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()

# quantd_cc_benchmark(NAME SRCS ... DEPS ...)
function(quantd_cc_benchmark name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  if(NOT QUANTD_BUILD_TESTS)
    return()
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE ${QUANTD_WARNINGS})
  target_link_libraries(${name} PRIVATE
    ${ARG_DEPS} quantd_project_paths
    benchmark::benchmark benchmark::benchmark_main)
endfunction()

# quantd_cc_check(NAME SRCS ... DEPS ...): a program, built with the tests, that
# compares quantd with a folder of expected results given on its command line.
function(quantd_cc_check name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  if(NOT QUANTD_BUILD_TESTS)
    return()
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE ${QUANTD_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
endfunction()
