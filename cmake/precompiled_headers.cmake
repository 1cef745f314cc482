# Headers that nearly every source reads, parsed once for all of them. A source
# names what it uses all the same: the presets with sanitizers build without
# (CMAKE_DISABLE_PRECOMPILE_HEADERS), and so does clang-tidy. Where gcc warns of
# an overflow inside the standard library only in the presence of this header,
# the source is built without (SKIP_PRECOMPILE_HEADERS).
set(common_headers
  <algorithm> <atomic> <cmath> <cstddef> <cstdint> <functional> <limits> <map>
  <memory> <numeric> <optional> <set> <sstream> <string> <unordered_map>
  <utility> <vector>
  <absl/container/flat_hash_map.h>
  <absl/functional/function_ref.h>
  <absl/status/status.h>
  <absl/status/statusor.h>
  <absl/strings/str_cat.h>
  <absl/strings/string_view.h>
  <absl/synchronization/mutex.h>
  <absl/time/time.h>
  <absl/types/span.h>)
set(common_libraries
  absl::flat_hash_map absl::function_ref absl::span
  absl::status absl::statusor absl::strings absl::synchronization absl::time)

# A precompiled header is made for a target, and a target has a source.
set(no_code ${PROJECT_BINARY_DIR}/no_code.cc)
file(CONFIGURE OUTPUT ${no_code} CONTENT "")

# Libraries are position independent in another way than executables, and a
# precompiled header serves one of the two: this one libraries ...
add_library(quantd_library_headers OBJECT ${no_code})
target_compile_options(quantd_library_headers PRIVATE ${QUANTD_WARNINGS})
target_link_libraries(quantd_library_headers PRIVATE ${common_libraries})
target_precompile_headers(quantd_library_headers PRIVATE ${common_headers})

# ... and this one tests.
if(QUANTD_BUILD_TESTS)
  add_executable(quantd_test_headers ${no_code})
  target_compile_options(quantd_test_headers PRIVATE ${QUANTD_WARNINGS})
  target_link_libraries(quantd_test_headers PRIVATE
    ${common_libraries} GTest::gmock_main)
  target_precompile_headers(quantd_test_headers PRIVATE
    ${common_headers} <gmock/gmock.h> <gtest/gtest.h>)
endif()
