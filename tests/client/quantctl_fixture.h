// Runs quantctl in-process against a FakeQuantd.
#ifndef QUANTD_TESTS_CLIENT_QUANTCTL_FIXTURE_H_
#define QUANTD_TESTS_CLIENT_QUANTCTL_FIXTURE_H_

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "client/quantctl.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/fake_quantd.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {

struct Output {
  int code = -1;
  std::string out;
  std::string err;

  nlohmann::json Json() const {
    return nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
  }
  std::vector<nlohmann::json> JsonLines() const {
    std::vector<nlohmann::json> lines;
    for (absl::string_view line :
         absl::StrSplit(out, '\n', absl::SkipEmpty())) {
      lines.push_back(nlohmann::json::parse(std::string(line), nullptr,
                                            /*allow_exceptions=*/false));
    }
    return lines;
  }
};

class QuantctlTest : public ::testing::Test {
 protected:
  QuantctlTest() {
    environment_.server = fake_.address();
    environment_.interrupts = &interrupts_;
  }

  // Words are separated by blanks.
  Output Run(const std::string& command_line) {
    return RunWords(absl::StrSplit(command_line, ' ', absl::SkipEmpty()));
  }

  Output RunWords(const std::vector<std::string>& words) {
    std::ostringstream out, err;
    environment_.out = &out;
    environment_.err = &err;
    Output output;
    output.code = static_cast<int>(RunQuantctl(words, environment_));
    output.out = out.str();
    output.err = err.str();
    return output;
  }

  std::string WriteFile(const std::string& name, const std::string& content) {
    std::ofstream(dir_.File(name), std::ios::binary) << content;
    return dir_.File(name);
  }

  TempDir dir_;
  FakeQuantd fake_;
  Interrupts interrupts_;
  Environment environment_;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_CLIENT_QUANTCTL_FIXTURE_H_
