#include "client/calibration_options.h"

#include "base/status_macros.h"
#include "client/job_options.h"

namespace quantd {

void CalibrationOptions::Define(CLI::App& app) {
  const auto& calibration = *v1::Calibration::descriptor();
  app.add_option("--calibration", text_,
                 "Text that calibrated methods learn from: a local file, "
                 "which is uploaded, or the name of a dataset")
      ->type_name("FILE|DATASET");
  app.add_option("--windows", windows_, FieldHelp(calibration, "windows"))
      ->type_name("N");
  app.add_option("--window-tokens", window_tokens_,
                 FieldHelp(calibration, "window_tokens"))
      ->type_name("N");
  app.add_option("--seed", seed_, FieldHelp(calibration, "seed"))
      ->type_name("N");
}

absl::Status CalibrationOptions::Apply(Session& session,
                                       v1::QuantizeSpec* spec) const {
  if (!text_.empty()) {
    ASSIGN_OR_RETURN(*spec->mutable_calibration()->mutable_dataset(),
                     Annotate(ResolveText(session, text_), "--calibration"));
  }
  if (windows_.has_value()) {
    spec->mutable_calibration()->set_windows(*windows_);
  }
  if (window_tokens_.has_value()) {
    spec->mutable_calibration()->set_window_tokens(*window_tokens_);
  }
  if (seed_.has_value()) spec->mutable_calibration()->set_seed(*seed_);
  return absl::OkStatus();
}

}  // namespace quantd
