// Tasks on a command line: names and task files, and the data they read.
//
// Confined to the command's thread.
#ifndef QUANTD_CLIENT_TASK_OPTIONS_H_
#define QUANTD_CLIENT_TASK_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/session.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

// What stands for a task: a built-in one by name, or a file that ends in .yaml
// or .yml. NotFound lists the known names; InvalidArgument is what the server
// says of a file.
absl::StatusOr<std::vector<v1::TaskInfo>> FindTasks(
    Session& session, const std::vector<std::string>& names);

class TaskOptions {
 public:
  void Define(CLI::App& app);

  bool any() const { return !tasks_.empty() || !suite_.empty(); }

  // Uploads the data and adds the tasks to `spec`. Tasks of a suite whose data,
  // or whose file of the examples that are wanted, is not there are left out
  // with a note; of a task that was named, missing data is an error that says
  // which file was looked for, and examples are the server's business.
  absl::Status Apply(Session& session, v1::EvaluateSpec* spec) const;

 private:
  // The dataset that `hint` below the data folder is, several files as one
  // (base/joined_files.h); nullopt when no such file is there.
  absl::StatusOr<std::optional<std::string>> Upload(
      Session& session, const std::string& hint,
      const google::protobuf::RepeatedPtrField<std::string>& formats) const;

  std::vector<std::string> tasks_;
  std::string suite_;
  std::string data_;
  std::string few_shot_data_;
  std::optional<uint32_t> few_shot_;
  std::optional<uint64_t> max_items_;
  std::optional<uint32_t> batch_tokens_;
};

}  // namespace quantd

#endif  // QUANTD_CLIENT_TASK_OPTIONS_H_
