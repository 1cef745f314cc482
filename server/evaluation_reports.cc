#include "server/evaluation_reports.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/contamination.h"
#include "evaluators/degradation_fit.h"
#include "proto/field_rules.h"
#include "quantd/v1/dataset.pb.h"
#include "server/resource_lookup.h"

namespace quantd {
namespace {

constexpr size_t kWorstWindows = 20;
constexpr size_t kBeginningBytes = 120;

absl::StatusOr<std::string> ReadDataset(const MetadataStore& store,
                                        const ArtifactStore& artifacts,
                                        const std::string& name,
                                        const char* field,
                                        std::string* digest) {
  v1::Dataset dataset;
  RETURN_IF_ERROR(
      GetResource(store, Table::kDatasets, "datasets", name, &dataset, field));
  *digest = dataset.digest();
  RETURN_IF_ERROR(Annotate(artifacts.Verify(dataset.digest()), name));
  ASSIGN_OR_RETURN(const std::string path, artifacts.PathOf(dataset.digest()));
  return ReadFile(path);
}

// Consecutive pieces of `words` words, parted by ASCII white space.
std::vector<absl::string_view> WindowsOf(absl::string_view text,
                                         uint32_t words) {
  std::vector<absl::string_view> windows;
  size_t begin = 0, at = 0;
  uint32_t count = 0;
  while (at < text.size()) {
    while (at < text.size() && absl::ascii_isspace(text[at])) ++at;
    if (at == text.size()) break;
    if (count == 0) begin = at;
    while (at < text.size() && !absl::ascii_isspace(text[at])) ++at;
    if (++count < words) continue;
    windows.push_back(text.substr(begin, at - begin));
    count = 0;
  }
  if (count > 0) windows.push_back(text.substr(begin));
  return windows;
}

// A dataset is any bytes, but what a message carries of it must be text.
std::string BeginningOf(absl::string_view text) {
  // A character that the first cut breaks begins where the second one cuts, or
  // behind it.
  const std::string valid =
      EscapeInvalidUtf8(text.substr(0, kBeginningBytes + 3));
  return std::string(CutUtf8(valid, kBeginningBytes));
}

absl::StatusOr<DegradationPoint> PointOf(const MetadataStore& store,
                                         const v1::DegradationPoint& from) {
  DegradationPoint point;
  point.parameters = from.parameters();
  point.training_tokens = from.training_tokens();
  point.bits = from.bits();
  point.quantized_loss = from.loss();
  point.degradation = from.degradation();
  if (from.evaluation().empty()) return point;
  v1::Evaluation evaluation;
  RETURN_IF_ERROR(GetResource(store, Table::kEvaluations, "evaluations",
                              from.evaluation(), &evaluation));
  if (evaluation.divergences().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        evaluation.name(), " has no divergence from its original"));
  }
  const v1::DivergenceReport& divergence = evaluation.divergences(0);
  point.degradation = divergence.log_ratio().mean();
  point.quantized_loss = divergence.candidate_perplexity().mean_nll();
  if (point.bits == 0) point.bits = evaluation.bits_per_weight();
  return point;
}

}  // namespace

absl::Status ReportContamination(const MetadataStore& store,
                                 const ArtifactStore& artifacts,
                                 const v1::CheckContaminationRequest& request,
                                 v1::ContaminationReport* report) {
  v1::CheckContaminationRequest complete = request;
  FillDefaults(&complete);
  ASSIGN_OR_RETURN(
      const std::string calibration,
      ReadDataset(store, artifacts, complete.calibration(), "calibration",
                  report->mutable_calibration_digest()));
  ASSIGN_OR_RETURN(const std::string text,
                   ReadDataset(store, artifacts, complete.text(), "text",
                               report->mutable_text_digest()));
  ContaminationOptions options;
  options.n = static_cast<int>(complete.ngram());
  options.tolerated_share = complete.tolerated_share();
  ASSIGN_OR_RETURN(CalibrationNgrams ngrams,
                   CalibrationNgrams::Create(options));
  RETURN_IF_ERROR(ngrams.AddText(calibration));
  const std::vector<absl::string_view> windows =
      WindowsOf(text, complete.window_words());
  std::vector<WindowOverlap> overlaps;
  std::vector<size_t> order;
  for (size_t w = 0; w < windows.size(); ++w) {
    overlaps.push_back(ngrams.OverlapOfText(windows[w]));
    if (ngrams.IsContaminated(overlaps[w])) order.push_back(w);
  }
  const quantd::ContaminationReport found = ngrams.Report(overlaps);
  report->set_ngram(complete.ngram());
  report->set_window_count(found.windows);
  report->set_contaminated_windows(found.contaminated);
  report->set_short_windows(found.too_short);
  report->set_shared_share(found.shared_share);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return overlaps[a].share() > overlaps[b].share();
  });
  order.resize(std::min(order.size(), kWorstWindows));
  for (const size_t w : order) {
    v1::ContaminatedWindow* worst = report->add_worst();
    worst->set_window(w);
    worst->set_byte_offset(
        static_cast<uint64_t>(windows[w].data() - text.data()));
    worst->set_share(overlaps[w].share());
    worst->set_beginning(BeginningOf(windows[w]));
  }
  return absl::OkStatus();
}

absl::Status ReportDegradation(const MetadataStore& store,
                               const v1::FitDegradationRequest& request,
                               v1::DegradationReport* report) {
  std::vector<DegradationPoint> points;
  for (int i = 0; i < request.points_size(); ++i) {
    ASSIGN_OR_RETURN(
        const DegradationPoint point,
        Annotate(PointOf(store, request.points(i)), "points[", i, "]"));
    points.push_back(point);
  }
  DegradationFitOptions options;
  if (request.highest_loss() > 0) options.highest_loss = request.highest_loss();
  ASSIGN_OR_RETURN(const DegradationFit fit, FitDegradation(points, options));
  report->set_k(fit.law.k);
  report->set_beta(fit.law.beta);
  report->set_alpha(fit.law.alpha);
  report->set_gamma(fit.law.gamma);
  report->set_ln_k_error(fit.errors[0]);
  report->set_beta_error(fit.errors[1]);
  report->set_alpha_error(fit.errors[2]);
  report->set_gamma_error(fit.errors[3]);
  report->set_r_squared(fit.r_squared);
  report->set_residual_deviation(fit.residual_deviation);
  report->set_leave_one_size_out_error(
      fit.leave_one_size_out_error.value_or(0));
  report->set_point_count(fit.points);
  report->set_left_out(fit.not_positive + fit.above_highest_loss);
  report->set_outliers(fit.outliers);
  for (const DegradationPoint& point : points) {
    report->add_predicted(fit.law.Degradation(
        point.parameters, point.training_tokens, point.bits));
  }
  return absl::OkStatus();
}

}  // namespace quantd
