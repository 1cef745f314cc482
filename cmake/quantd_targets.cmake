# Target helpers. A folder's CMakeLists.txt is its dependency graph: a target
# links what it lists and nothing else.

# Under a sanitizer: how much longer tests may take, what every executable
# links, what tests are run with.
set(QUANTD_TIMEOUT_FACTOR 1)
set(QUANTD_SANITIZER_OBJECTS)
set(QUANTD_TEST_ENVIRONMENT)
if(QUANTD_SANITIZE)
  set(QUANTD_TIMEOUT_FACTOR 4)
endif()
if(QUANTD_SANITIZE STREQUAL "thread")
  add_library(quantd_tsan OBJECT
    tests/testing/abseil_tsan.cc
    tests/testing/grpc_tsan.cc
    tests/testing/rocksdb_tsan.cc)
  target_link_libraries(quantd_tsan PRIVATE
    absl::synchronization RocksDB::rocksdb-shared)
  set(QUANTD_SANITIZER_OBJECTS
    $<TARGET_OBJECTS:quantd_tsan> absl::synchronization ${CMAKE_DL_LIBS})
  set(QUANTD_TEST_ENVIRONMENT
    "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp:history_size=7")
endif()

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
  target_link_libraries(${name} PRIVATE
    ${ARG_DEPS} ${QUANTD_SANITIZER_OBJECTS})
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
    ${ARG_DEPS} quantd_project_paths GTest::gmock_main
    ${QUANTD_SANITIZER_OBJECTS})
  add_test(NAME ${name} COMMAND ${name})
  math(EXPR timeout "${ARG_TIMEOUT} * ${QUANTD_TIMEOUT_FACTOR}")
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${timeout} LABELS "${ARG_LABELS}"
    ENVIRONMENT "${QUANTD_TEST_ENVIRONMENT}")
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

# quantd_cc_benchmark(NAME SRCS ... DEPS ...): not under a sanitizer, where the
# figures mean nothing.
function(quantd_cc_benchmark name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  if(NOT QUANTD_BUILD_TESTS OR QUANTD_SANITIZE)
    return()
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE ${QUANTD_WARNINGS})
  target_link_libraries(${name} PRIVATE
    ${ARG_DEPS} quantd_project_paths
    benchmark::benchmark benchmark::benchmark_main)
endfunction()

# quantd_cc_check(NAME SRCS ... DEPS ...): a program, built with the tests, that
# holds files of the user's against a reference. Lands in <build>/NAME.
function(quantd_cc_check name)
  if(NOT QUANTD_BUILD_TESTS)
    return()
  endif()
  quantd_cc_binary(${name} ${ARGN})
endfunction()
