#include "quantizers/run_workspace.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "models/json_text.h"

namespace quantd {
namespace {

absl::StatusOr<LayerReport> ReportFromJson(const JsonReader& reader) {
  constexpr double kAny = 1e300;
  LayerReport report;
  ASSIGN_OR_RETURN(report.layer, reader.GetString("layer"));
  ASSIGN_OR_RETURN(report.bits_per_weight,
                   reader.GetDouble("bits_per_weight", 0, 64));
  ASSIGN_OR_RETURN(report.weight_error,
                   reader.GetDouble("weight_error", 0, kAny));
  ASSIGN_OR_RETURN(report.output_error,
                   reader.GetDoubleOr("output_error", -1, 0, kAny));
  ASSIGN_OR_RETURN(report.damping, reader.GetDoubleOr("damping", -1, 0, kAny));
  ASSIGN_OR_RETURN(const int64_t retries,
                   reader.GetIntOr("damping_retries", 0, 0, 1 << 20));
  report.damping_retries = static_cast<int>(retries);
  ASSIGN_OR_RETURN(report.dead_inputs,
                   reader.GetIntOr("dead_inputs", 0, 0, INT64_MAX));
  return report;
}

absl::StatusOr<BlockReport> BlockReportFromJson(const JsonReader& reader) {
  constexpr double kAny = 1e300;
  BlockReport report;
  ASSIGN_OR_RETURN(report.block, reader.GetString("block"));
  ASSIGN_OR_RETURN(report.loss_before,
                   reader.GetDouble("loss_before", 0, kAny));
  ASSIGN_OR_RETURN(report.loss_after, reader.GetDouble("loss_after", 0, kAny));
  ASSIGN_OR_RETURN(report.kept, reader.GetBool("kept"));
  return report;
}

absl::StatusOr<BlockRecord> RecordFromText(absl::string_view text,
                                           absl::string_view origin) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, origin));
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(json, origin));
  BlockRecord record;
  ASSIGN_OR_RETURN(record.shard_digest, reader.GetString("shard_digest"));
  ASSIGN_OR_RETURN(const int64_t bits,
                   reader.GetInt("stored_bits", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const int64_t weights,
                   reader.GetInt("weights", 0, INT64_MAX));
  record.stored_bits = static_cast<uint64_t>(bits);
  record.weights = static_cast<uint64_t>(weights);
  ASSIGN_OR_RETURN(const JsonReader headers, reader.GetObject("headers"));
  record.headers = headers.value();
  ASSIGN_OR_RETURN(const nlohmann::json* reports, reader.GetArray("reports"));
  for (const nlohmann::json& entry : *reports) {
    ASSIGN_OR_RETURN(const JsonReader report,
                     JsonReader::Of(entry, origin, "reports"));
    ASSIGN_OR_RETURN(LayerReport parsed, ReportFromJson(report));
    record.reports.push_back(std::move(parsed));
  }
  if (json.contains("reconstruction")) {
    ASSIGN_OR_RETURN(const JsonReader entry,
                     reader.GetObject("reconstruction"));
    ASSIGN_OR_RETURN(record.reconstruction, BlockReportFromJson(entry));
  }
  return record;
}

}  // namespace

nlohmann::json ReportToJson(const LayerReport& report) {
  nlohmann::json json = {{"layer", report.layer},
                         {"bits_per_weight", report.bits_per_weight},
                         {"weight_error", report.weight_error}};
  if (report.output_error >= 0) json["output_error"] = report.output_error;
  if (report.damping >= 0) {
    json["damping"] = report.damping;
    json["damping_retries"] = report.damping_retries;
    json["dead_inputs"] = report.dead_inputs;
  }
  return json;
}

nlohmann::json ReportToJson(const BlockReport& report) {
  return {{"block", report.block},
          {"loss_before", report.loss_before},
          {"loss_after", report.loss_after},
          {"kept", report.kept}};
}

absl::StatusOr<RunWorkspace> RunWorkspace::Open(const std::string& directory,
                                                const nlohmann::json& plan) {
  RunWorkspace workspace(directory);
  const std::string plan_path = directory + "/plan.json";
  const std::string plan_text = plan.dump(2) + "\n";
  RETURN_IF_ERROR(CreateDirectories(directory));
  const absl::StatusOr<std::string> found = ReadFile(plan_path);
  if (!found.ok() || *found != plan_text) {
    std::error_code error;
    for (const std::string& path :
         {workspace.blocks_, workspace.artifact_, workspace.transformed_,
          workspace.TransformedMarker(), workspace.sensitivity_,
          workspace.untuned_}) {
      if (!error) std::filesystem::remove_all(path, error);
    }
    if (error) return ErrnoToStatus(error.value(), "remove", directory);
    // The old plan must not vouch for the new blocks, nor the new plan for
    // old ones: removal is complete before the plan is written.
    RETURN_IF_ERROR(WriteFileDurably(plan_path, plan_text));
  }
  RETURN_IF_ERROR(CreateDirectories(workspace.blocks_));
  RETURN_IF_ERROR(CreateDirectories(workspace.artifact_));
  RETURN_IF_ERROR(CreateDirectories(workspace.transformed_));
  RETURN_IF_ERROR(CreateDirectories(workspace.untuned_));
  return workspace;
}

std::string RunWorkspace::TransformedMarker() const {
  return transformed_ + ".complete";
}

bool RunWorkspace::transformed() const {
  return std::filesystem::exists(TransformedMarker());
}

absl::Status RunWorkspace::MarkTransformed() const {
  return WriteFileDurably(TransformedMarker(), "");
}

std::string RunWorkspace::RecordPath(int block) const {
  return absl::StrFormat("%s/%05d.json", blocks_, block);
}

std::optional<BlockRecord> RunWorkspace::FindBlock(
    int block, const std::string& shard_path) const {
  const std::string path = RecordPath(block);
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return std::nullopt;
  absl::StatusOr<BlockRecord> record = RecordFromText(*text, path);
  if (!record.ok()) return std::nullopt;
  const absl::StatusOr<std::string> digest = Sha256HexOfFile(shard_path);
  if (!digest.ok() || *digest != record->shard_digest) return std::nullopt;
  return *std::move(record);
}

absl::Status RunWorkspace::WriteBlock(int block,
                                      const BlockRecord& record) const {
  nlohmann::json reports = nlohmann::json::array();
  for (const LayerReport& report : record.reports) {
    reports.push_back(ReportToJson(report));
  }
  nlohmann::json json = {{"shard_digest", record.shard_digest},
                         {"stored_bits", record.stored_bits},
                         {"weights", record.weights},
                         {"headers", record.headers},
                         {"reports", std::move(reports)}};
  if (record.reconstruction.has_value()) {
    json["reconstruction"] = ReportToJson(*record.reconstruction);
  }
  return WriteFileDurably(RecordPath(block), json.dump(2) + "\n");
}

std::string RunWorkspace::SurveyPath(int index) const {
  return absl::StrFormat("%s/survey-%05d.json", blocks_, index);
}

std::optional<nlohmann::json> RunWorkspace::FindSurvey(int index) const {
  const std::string path = SurveyPath(index);
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return std::nullopt;
  absl::StatusOr<nlohmann::json> found = ParseJson(*text, path);
  if (!found.ok()) return std::nullopt;
  return *std::move(found);
}

absl::Status RunWorkspace::WriteSurvey(int index,
                                       const nlohmann::json& found) const {
  return WriteFileDurably(SurveyPath(index), found.dump(2) + "\n");
}

}  // namespace quantd
