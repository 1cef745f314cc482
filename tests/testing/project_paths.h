// Where tests find the project's own files and, where it lies beside the
// checkout, the shared folder. The only code that knows absolute paths, so
// that every other object file can be shared between checkouts.
#ifndef QUANTD_TESTS_TESTING_PROJECT_PATHS_H_
#define QUANTD_TESTS_TESTING_PROJECT_PATHS_H_

#include <string>

namespace quantd {

// `relative` to the root of the source tree.
std::string ProjectPath(const std::string& relative);

// `relative` to the shared folder. It may be absent: tests that need it skip.
std::string SharedPath(const std::string& relative);

// `relative` to the build folder.
std::string BuildPath(const std::string& relative);

}  // namespace quantd

#endif  // QUANTD_TESTS_TESTING_PROJECT_PATHS_H_
