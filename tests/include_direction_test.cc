// The layers of ARCHITECTURE.md, enforced: reads every #include of every
// source file and compares it with the table below.
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/project_paths.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;

// Folder -> folders it may include, itself aside. Generated protobuf headers
// ("quantd/v1/...", "google/rpc/...") belong to proto.
const std::map<std::string, std::set<std::string>>& Allowed() {
  static const auto& table = *new std::map<std::string, std::set<std::string>>{
      {"base", {}},
      {"proto", {"base"}},
      {"kernels", {"base"}},
      {"tensor", {"base", "kernels"}},
      {"models", {"base", "kernels", "tensor"}},
      {"quantizers", {"base", "kernels", "models", "proto", "tensor"}},
      {"evaluators", {"base", "kernels", "models", "proto", "tensor"}},
      {"storage", {"base", "proto"}},
      {"jobs",
       {"base", "evaluators", "kernels", "models", "proto", "quantizers",
        "storage"}},
      {"server",
       {"base", "evaluators", "jobs", "models", "proto", "quantizers",
        "storage"}},
      {"client", {"base", "proto"}},
  };
  return table;
}

const fs::path kRoot = quantd::ProjectPath("");

std::vector<fs::path> Sources(const std::string& folder) {
  std::vector<fs::path> sources;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
    const std::string extension = entry.path().extension();
    if (extension == ".h" || extension == ".cc") {
      sources.push_back(entry.path());
    }
  }
  return sources;
}

// The path in a line like `#include "path"`.
std::optional<std::string> QuotedInclude(absl::string_view line) {
  for (absl::string_view part : {"#", "include", "\""}) {
    line = absl::StripLeadingAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&line, part)) return std::nullopt;
  }
  return std::string(line.substr(0, line.find('"')));
}

std::string FolderOf(const std::string& include) {
  if (include.rfind("quantd/v1/", 0) == 0 ||
      include.rfind("google/rpc/", 0) == 0) {
    return "proto";
  }
  return include.substr(0, include.find('/'));
}

TEST(IncludeDirectionTest, EveryIncludeFollowsTheTable) {
  int includes = 0;
  for (const auto& [folder, allowed] : Allowed()) {
    for (const fs::path& source : Sources(folder)) {
      std::ifstream file(source);
      std::string line;
      while (std::getline(file, line)) {
        const std::optional<std::string> include = QuotedInclude(line);
        if (!include.has_value()) continue;
        ++includes;
        const std::string target = FolderOf(*include);
        // Not a folder of ours: a library header.
        if (Allowed().count(target) == 0) {
          EXPECT_NE(target, "tests") << source << " includes a test header";
          continue;
        }
        EXPECT_TRUE(target == folder || allowed.count(target) > 0)
            << fs::relative(source, kRoot) << " includes \"" << *include
            << "\", but " << folder << " may not depend on " << target;
      }
    }
  }
  EXPECT_GT(includes, 300) << "the sources were not found";
}

TEST(IncludeDirectionTest, EveryFolderWithSourcesIsInTheTable) {
  for (const auto& entry : fs::directory_iterator(kRoot)) {
    const std::string name = entry.path().filename();
    if (!entry.is_directory() || name == "tests" || name == "build" ||
        name[0] == '.') {
      continue;
    }
    if (Sources(name).empty()) continue;
    EXPECT_EQ(Allowed().count(name), 1u) << name;
  }
}

TEST(IncludeDirectionTest, NoFolderIsADumpingGround) {
  for (const auto& [folder, allowed] : Allowed()) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      EXPECT_THAT(entry.path().stem().string(),
                  testing::Not(testing::AnyOf("utils", "util", "common", "misc",
                                              "helpers")))
          << entry.path();
    }
  }
}

TEST(IncludeDirectionTest, HeaderGuardsAreNamedAfterTheirPath) {
  for (const auto& [folder, allowed] : Allowed()) {
    for (const fs::path& source : Sources(folder)) {
      if (source.extension() != ".h") continue;
      std::string guard = "QUANTD_";
      for (char c : fs::relative(source, kRoot).string()) {
        guard += std::isalnum(static_cast<unsigned char>(c))
                     ? static_cast<char>(std::toupper(c))
                     : '_';
      }
      guard += "_";
      std::ifstream file(source);
      const std::string text((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
      EXPECT_THAT(text, testing::HasSubstr("#define " + guard + "\n"))
          << source;
    }
  }
}

}  // namespace
}  // namespace quantd
