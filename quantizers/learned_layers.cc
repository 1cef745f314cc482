#include "quantizers/learned_layers.h"

#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "proto/field_rules.h"
#include "quantizers/factored_codebook.h"
#include "quantizers/latent_signs.h"
#include "quantizers/learned_mapping.h"
#include "quantizers/learned_power.h"
#include "quantizers/learned_rounding.h"

namespace quantd {
namespace {

using Made = absl::StatusOr<std::unique_ptr<TunableLinear>>;

Made MakeStored(const CompressedLinear& start, const Tensor& /*original*/,
                const LearnedOptions& /*options*/) {
  return start.Tunable();
}

constexpr LearnedVariable kVariables[] = {
    {v1::TuneStage::PARAMETERS, "", false, 1, MakeStored},
    {v1::TuneStage::OFFSET, "affine", true, 5, NewLearnedRounding},
    {v1::TuneStage::SIGMOID, "affine", true, 5, NewLearnedRounding},
    {v1::TuneStage::DIVISION, "affine", true, 5, NewLearnedRounding},
    {v1::TuneStage::CLIPPING, "affine", true, 1, NewLearnedRounding},
    {v1::TuneStage::POWER, "power", true, 5, NewLearnedPower},
    {v1::TuneStage::LATENT, "partially_binary,dual_binary", true, 5,
     NewLatentSigns},
    {v1::TuneStage::MAPPING, "codebook", true, 5, NewLearnedMapping},
    {v1::TuneStage::FACTORS, "vector_codebook", false, 1, NewFactoredCodebook},
    // Codes are chosen beside the descent (quantizers/code_step.h).
    {v1::TuneStage::CODES, "", false, 5, MakeStored},
};

}  // namespace

absl::Span<const LearnedVariable> LearnedVariables() { return kVariables; }

const LearnedVariable* FindLearnedVariable(v1::TuneStage::Variable variable) {
  for (const LearnedVariable& row : kVariables) {
    if (row.variable == variable) return &row;
  }
  return nullptr;
}

absl::Status CheckLearnedVariable(absl::string_view stage,
                                  v1::TuneStage::Variable variable,
                                  const Grid* grid) {
  const std::string field = absl::StrCat(stage, ".variable");
  const std::string& name = v1::TuneStage::Variable_Name(variable);
  const LearnedVariable* const row = FindLearnedVariable(variable);
  if (row == nullptr) {
    return InvalidField(field, absl::StrCat(name, " is not in this build"));
  }
  if (row->grids.empty()) return absl::OkStatus();
  const std::vector<absl::string_view> grids = absl::StrSplit(row->grids, ',');
  if (grid != nullptr && absl::c_linear_search(grids, grid->name())) {
    return absl::OkStatus();
  }
  return InvalidField(
      field, absl::StrCat(name, " is learned on grid ",
                          absl::StrReplaceAll(row->grids, {{",", " or "}}),
                          "; the recipe's solver has ",
                          grid == nullptr ? "a grid of its own"
                                          : absl::StrCat("grid ", grid->name()),
                          ", for which there is PARAMETERS"));
}

absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedLayer(
    const CompressedLinear& start, const Tensor& original,
    const LearnedOptions& options) {
  return FindLearnedVariable(options.variable)->make(start, original, options);
}

}  // namespace quantd
