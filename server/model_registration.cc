#include "server/model_registration.h"

#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "models/checkpoint.h"
#include "models/model_description.h"
#include "models/tokenizer.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

// With symbolic links resolved as far as the path exists.
std::string Resolved(const std::string& path) {
  std::error_code error;
  const std::filesystem::path resolved =
      std::filesystem::weakly_canonical(path, error);
  return error ? path : resolved.string();
}

bool IsBelow(const std::string& path, const std::string& root) {
  return path == root || root == "/" ||
         absl::StartsWith(path, absl::StrCat(root, "/"));
}

// To the client every fault of the directory is a fault of its argument,
// also a file that is not there.
absl::Status AsPathFault(const absl::Status& status) {
  if (absl::IsUnimplemented(status)) return status;
  return InvalidField("path", status.message());
}

}  // namespace

absl::StatusOr<std::string> CheckModelPath(
    const std::string& path, const std::vector<std::string>& roots) {
  const std::filesystem::path given(path);
  if (!given.is_absolute() || path.find('\0') != std::string::npos) {
    return InvalidField("path", absl::StrCat("must be absolute: ", path));
  }
  std::string normal = given.lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  if (roots.empty()) return normal;
  const std::string resolved = Resolved(normal);
  for (const std::string& root : roots) {
    if (IsBelow(resolved, Resolved(root))) return normal;
  }
  return absl::PermissionDeniedError(
      absl::StrCat(normal, ": models may only be registered below ",
                   absl::StrJoin(roots, ", ")));
}

absl::StatusOr<v1::Model> DescribeModelDirectory(const std::string& path) {
  const absl::StatusOr<std::shared_ptr<const Checkpoint>> checkpoint =
      Checkpoint::Open(path);
  if (!checkpoint.ok()) return AsPathFault(checkpoint.status());
  const absl::StatusOr<ModelDescription> description =
      DescribeModel(**checkpoint);
  if (!description.ok()) return AsPathFault(description.status());
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer =
      LoadTokenizer(path);
  if (!tokenizer.ok()) return AsPathFault(tokenizer.status());

  v1::Model model;
  model.set_path(path);
  model.set_architecture(description->architecture);
  model.set_parameters((*checkpoint)->parameter_count());
  model.set_size_bytes((*checkpoint)->tensor_bytes());
  model.set_blocks(static_cast<uint32_t>(description->blocks));
  model.set_hidden_size(static_cast<uint32_t>(description->hidden_size));
  model.set_vocabulary_size(
      static_cast<uint32_t>(description->vocabulary_size));
  model.set_context_tokens(static_cast<uint32_t>(description->context_tokens));
  model.set_digest((*checkpoint)->header_digest());
  return model;
}

}  // namespace quantd
