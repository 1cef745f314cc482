#include "jobs/run_context.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace quantd {

void ApplyComputeType(const v1::JobSpec& spec, ExecutionContext& context) {
  if (spec.compute_type() == "F32_STRICT") {
    context.set_compute_type(ComputeType::kF32Strict);
  }
  if (spec.compute_type() != "BF16") return;
  if (!CpuHasBF16()) {
    context.ReportWarning(
        "compute_type BF16: this CPU has no bfloat16 dot products, F32 is "
        "used");
    return;
  }
  context.set_compute_type(ComputeType::kBF16);
}

absl::StatusOr<std::string> ReadVerified(const std::string& path,
                                         const std::string& digest) {
  ASSIGN_OR_RETURN(std::string content, ReadFile(path));
  const std::string found = Sha256Hex(content);
  if (found != digest) {
    return absl::DataLossError(
        absl::StrCat(path, ": digest ", found, ", expected ", digest));
  }
  return content;
}

absl::StatusOr<std::string> ReadAssignedText(const v1::Assignment& assignment) {
  return ReadVerified(assignment.dataset_path(), assignment.dataset_digest());
}

absl::StatusOr<TextSize> AssignedTextSize(const v1::Assignment& assignment) {
  const auto size_of = [](const std::string& path) -> absl::StatusOr<uint64_t> {
    if (path.empty()) return 0;
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(path, error);
    if (error) return ErrnoToStatus(error.value(), "stat", path);
    return bytes;
  };
  TextSize size;
  ASSIGN_OR_RETURN(size.bytes, size_of(assignment.dataset_path()));
  for (const v1::TaskInput& task : assignment.tasks()) {
    ASSIGN_OR_RETURN(const uint64_t bytes, size_of(task.dataset_path()));
    size.task_bytes.push_back(bytes);
  }
  return size;
}

}  // namespace quantd
