#include "quantizers/recipe.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/text_format.h"
#include "proto/field_rules.h"
#include "quantizers/layer_rules.h"
#include "quantizers/recipe_files.h"
#include "quantizers/stage.h"

namespace quantd {
namespace {

// Keeps the first message of the text-format parser.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!text_.empty()) return;
    text_ =
        absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

absl::StatusOr<bool> AnyStageNeedsStatistics(const v1::Recipe& recipe) {
  bool needs = false;
  for (const v1::Stage& options : recipe.stages()) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, NewStage(options));
    needs = needs || stage->Needs().any();
  }
  return needs;
}

// Exactly one solver; everything that prepares it before; after it what
// compensates, then at most one stage that tunes blocks, then at most one that
// tunes the network.
absl::Status CheckStageOrder(const v1::Recipe& recipe) {
  int solver = -1;
  int last = -1;  // of those after the solver
  StageRole last_role = StageRole::kSolver;
  for (int i = 0; i < recipe.stages_size(); ++i) {
    const StageRow* row = FindStageRow(recipe.stages(i).kind_case());
    if (row == nullptr) continue;
    const std::string field =
        absl::StrCat("recipe.stages[", i, "].", row->name);
    if (row->role == StageRole::kSolver) {
      if (solver >= 0) {
        return InvalidField(
            field, absl::StrCat("a second solver after stages[", solver, "]"));
      }
      solver = i;
    } else if (row->role < StageRole::kSolver) {
      if (solver >= 0) {
        return InvalidField(field, "comes after the solver that it prepares");
      }
    } else {
      if (solver < 0) {
        return InvalidField(field, "comes before the solver that it repairs");
      }
      if (row->role < last_role) {
        return InvalidField(
            field,
            absl::StrCat("comes after the tuning in stages[", last, "]"));
      }
      if (row->role == last_role && row->role != StageRole::kCompensate) {
        return InvalidField(
            field, absl::StrCat("a second one after stages[", last, "]"));
      }
      last = i;
      last_role = row->role;
    }
  }
  if (solver < 0) {
    return InvalidField("recipe.stages",
                        "no stage compresses: a solver such as rtn is missing");
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<v1::Recipe>& BuiltinRecipes() {
  static const std::vector<v1::Recipe>& recipes = *[] {
    auto* parsed = new std::vector<v1::Recipe>;
    for (const RecipeFile& file : RecipeFiles()) {
      // The files are part of the program: one that does not parse is a
      // broken build, caught by the recipe tests before it can ship.
      absl::StatusOr<v1::Recipe> recipe = ParseRecipe(file.text);
      if (recipe.ok()) recipe = CompleteRecipe(*std::move(recipe), {});
      if (recipe.ok()) parsed->push_back(*std::move(recipe));
    }
    std::sort(parsed->begin(), parsed->end(),
              [](const v1::Recipe& a, const v1::Recipe& b) {
                return a.name() < b.name();
              });
    return parsed;
  }();
  return recipes;
}

absl::StatusOr<v1::Recipe> FindBuiltinRecipe(absl::string_view name) {
  std::vector<std::string> names;
  for (const v1::Recipe& recipe : BuiltinRecipes()) {
    if (recipe.name() == name) return recipe;
    names.push_back(recipe.name());
  }
  return absl::NotFoundError(
      absl::StrCat("no method \"", EscapeInvalidUtf8(name),
                   "\"; known: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<v1::Recipe> ParseRecipe(absl::string_view text) {
  v1::Recipe recipe;
  FirstError errors;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  // Recipes are shallow; a bound keeps hostile nesting off the stack.
  parser.SetRecursionLimit(32);
  if (!parser.ParseFromString(std::string(text), &recipe)) {
    // The parser's messages quote the text, byte by byte if need be.
    return absl::InvalidArgumentError(
        absl::StrCat("recipe: ", EscapeInvalidUtf8(errors.text())));
  }
  return recipe;
}

absl::StatusOr<v1::Recipe> CompleteRecipe(
    v1::Recipe recipe, absl::Span<const std::string> assignments) {
  ClearOutputOnly(&recipe);
  for (int i = 0; i < recipe.stages_size(); ++i) {
    if (recipe.stages(i).kind_case() == v1::Stage::KIND_NOT_SET) {
      return InvalidField(absl::StrCat("recipe.stages[", i, "]"),
                          "names no stage");
    }
  }
  // Defaults first, so that every option exists to be assigned.
  FillDefaults(&recipe);
  RETURN_IF_ERROR(AssignToStages(assignments, &recipe));
  RETURN_IF_ERROR(Validate(recipe, "recipe"));
  RETURN_IF_ERROR(CheckStageOrder(recipe));
  RETURN_IF_ERROR(LayerRules::Compile(recipe).status());
  ASSIGN_OR_RETURN(const bool needs, AnyStageNeedsStatistics(recipe));
  recipe.set_needs_calibration(needs);
  return recipe;
}

absl::StatusOr<v1::Recipe> ResolveRecipe(
    absl::string_view method, absl::Span<const std::string> assignments) {
  ASSIGN_OR_RETURN(v1::Recipe recipe, FindBuiltinRecipe(method));
  return CompleteRecipe(std::move(recipe), assignments);
}

std::string RecipeDigest(const v1::Recipe& recipe) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    recipe.SerializeToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

}  // namespace quantd
