// The options that every command which submits a job has, and submitting it.
//
// Confined to the command's thread.
#ifndef QUANTD_CLIENT_JOB_OPTIONS_H_
#define QUANTD_CLIENT_JOB_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/exit_code.h"
#include "client/session.h"
#include "google/protobuf/descriptor.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

class JobOptions {
 public:
  void Define(CLI::App& app);
  // Only the options that Apply() writes, for a command that submits many jobs
  // in its own way.
  void DefineSpec(CLI::App& app);

  // Writes the options that were given into `spec`.
  void Apply(v1::JobSpec* spec) const;

  bool dry_run() const { return dry_run_; }

  // Creates the job (or only checks it, with --dry-run), says so, and waits
  // with --wait. A value: the job ended, and the caller reports it; without a
  // value everything is said and `*code` is the exit code.
  absl::StatusOr<std::optional<v1::Job>> Submit(Session& session,
                                                const v1::JobSpec& spec,
                                                ExitCode* code) const;

 private:
  bool wait_ = false;
  bool dry_run_ = false;
  std::string request_id_;
  std::string owner_;
  std::optional<int32_t> priority_;
  std::vector<std::string> after_;
  std::optional<uint32_t> threads_;
  std::optional<uint32_t> max_attempts_;
  std::string memory_;
  std::string compute_type_;
};

// Help of an option from the rules of the field it sets: meaning, default,
// range.
std::string FieldHelp(const google::protobuf::Descriptor& type,
                      absl::string_view field);

// The name of the dataset that `text` stands for: a local file is uploaded
// (its id is the first 16 digits of its digest), anything else is taken for
// the name of a dataset. NotFound for what can only be a missing file.
absl::StatusOr<std::string> ResolveText(Session& session,
                                        const std::string& text);

}  // namespace quantd

#endif  // QUANTD_CLIENT_JOB_OPTIONS_H_
