#include "tests/testing/project_paths.h"

namespace quantd {

std::string ProjectPath(const std::string& relative) {
  return QUANTD_SOURCE_DIR "/" + relative;
}

std::string SharedPath(const std::string& relative) {
  return QUANTD_SOURCE_DIR "/../shared/" + relative;
}

std::string BuildPath(const std::string& relative) {
  return QUANTD_BINARY_DIR "/" + relative;
}

}  // namespace quantd
