// quantctl methods list|show
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/table.h"
#include "google/protobuf/descriptor.h"
#include "proto/field_rules.h"
#include "proto/field_values.h"
#include "quantd/v1/options.pb.h"

namespace quantd {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

// The options message of a stage and the name of its kind ("gptq"); null when
// this version does not know the kind.
const FieldDescriptor* KindOf(const v1::Stage& stage) {
  return stage.GetReflection()->GetOneofFieldDescriptor(
      stage, v1::Stage::descriptor()->FindOneofByName("kind"));
}

// What the recipe itself sets the option at `path` to; empty when it leaves
// it to the default.
std::string ValueAt(const Message& options, const std::string& path) {
  const size_t dot = path.find('.');
  const FieldDescriptor* field =
      options.GetDescriptor()->FindFieldByName(path.substr(0, dot));
  if (field == nullptr || field->is_repeated() ||
      !options.GetReflection()->HasField(options, field)) {
    return "";
  }
  if (dot == std::string::npos) {
    return FormatFieldValue(*field, GetFieldValue(options, *field));
  }
  return ValueAt(options.GetReflection()->GetMessage(options, field),
                 path.substr(dot + 1));
}

Json OptionToJson(const FieldDescription& field, const std::string& stage,
                  const std::string& value) {
  return {{"stage", stage},
          {"option", field.path},
          {"value", value},
          {"default", field.default_value},
          {"type", field.type},
          {"range", field.range},
          {"unit", field.unit},
          {"help", field.help},
          {"citation", field.citation}};
}

class ListMethods : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::Recipe> recipes,
                     session.client().ListRecipes());
    Table table({"METHOD", "CALIBRATION", "TITLE"});
    for (const v1::Recipe& recipe : recipes) {
      if (session.json()) session.PrintJson(recipe);
      table.AddRow({recipe.name(), recipe.needs_calibration() ? "yes" : "no",
                    recipe.title()});
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }
};

class ShowMethod : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_, "Method to show")
        ->required()
        ->type_name("METHOD");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const v1::Recipe recipe,
                     session.client().GetRecipe(name_));
    if (session.json()) {
      PrintJson(session, recipe);
    } else {
      Print(session, recipe);
    }
    return ExitCode::kOk;
  }

 private:
  static void PrintJson(Session& session, const v1::Recipe& recipe) {
    Json json = MessageToJson(recipe);
    Json& options = json["options"] = Json::array();
    for (const v1::Stage& stage : recipe.stages()) {
      const FieldDescriptor* kind = KindOf(stage);
      if (kind == nullptr) continue;
      const Message& message = stage.GetReflection()->GetMessage(stage, kind);
      for (const auto& field : DescribeFields(message)) {
        options.push_back(
            OptionToJson(field, kind->name(), ValueAt(message, field.path)));
      }
    }
    session.PrintJson(json);
  }

  static void Print(Session& session, const v1::Recipe& recipe) {
    const int columns = session.environment().columns;
    std::ostream& out = session.out();
    out << session.OutColor(Color::kBold, recipe.name());
    if (!recipe.title().empty()) out << ": " << recipe.title();
    out << "\n";
    if (!recipe.description().empty()) {
      out << "  " << Wrap(recipe.description(), columns, 2) << "\n";
    }
    if (!recipe.citation().empty()) {
      out << "  " << Wrap(recipe.citation(), columns, 2) << "\n";
    }
    out << "  Calibration text: "
        << (recipe.needs_calibration() ? "needed" : "not needed") << "\n";
    for (int i = 0; i < recipe.stages_size(); ++i) {
      const FieldDescriptor* kind = KindOf(recipe.stages(i));
      out << "\n"
          << session.OutColor(
                 Color::kBold,
                 absl::StrCat("Stage ", i + 1, ": ",
                              kind == nullptr ? "of a kind this version does "
                                                "not know"
                                              : kind->name()))
          << "\n";
      if (kind != nullptr) {
        PrintStage(session, *kind,
                   recipe.stages(i).GetReflection()->GetMessage(
                       recipe.stages(i), kind));
      }
    }
    out << "\nChange an option with --set, for example: quantctl quantize "
           "MODEL --method "
        << recipe.name() << " --set bits=3\n";
  }

  static void PrintStage(Session& session, const FieldDescriptor& kind,
                         const Message& options) {
    const int columns = session.environment().columns;
    std::ostream& out = session.out();
    const auto& rules =
        kind.message_type()->options().GetExtension(v1::message_rules);
    if (!rules.help().empty()) {
      out << "  " << Wrap(rules.help(), columns, 2) << "\n";
    }
    if (!rules.citation().empty()) {
      out << "  " << Wrap(rules.citation(), columns, 2) << "\n";
    }
    const auto fields = DescribeFields(options);
    Table table({"  OPTION", "VALUE", "DEFAULT", "RANGE", "UNIT", "TYPE"});
    for (const FieldDescription& field : fields) {
      const std::string value = ValueAt(options, field.path);
      table.AddRow({absl::StrCat("  ", field.path),
                    value.empty() ? field.default_value : value,
                    field.default_value, field.range, field.unit, field.type});
    }
    out << table.ToString();
    for (const FieldDescription& field : fields) {
      std::string text = absl::StrCat(field.path, ": ", field.help);
      if (!field.citation.empty()) {
        absl::StrAppend(&text, " (", field.citation, ")");
      }
      out << "  " << Wrap(text, columns, 6) << "\n";
    }
  }

  std::string name_;
};

}  // namespace

CommandGroup MethodCommands() {
  return {"methods",
          "Compression methods (built-in recipes)",
          {
              {"list", "List methods", MakeCommand<ListMethods>},
              {"show", "Show a method with all its options",
               MakeCommand<ShowMethod>},
          }};
}

}  // namespace quantd
