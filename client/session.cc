#include "client/session.h"

#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

std::string Colored(Color color, absl::string_view text) {
  const char* code = "0";
  switch (color) {
    case Color::kRed:
      code = "31";
      break;
    case Color::kGreen:
      code = "32";
      break;
    case Color::kYellow:
      code = "33";
      break;
    case Color::kBlue:
      code = "34";
      break;
    case Color::kBold:
      code = "1";
      break;
  }
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

}  // namespace

Session::Session(const Environment& environment, const GlobalFlags& flags)
    : environment_(environment), flags_(flags) {}

Client& Session::client() {
  if (client_ == nullptr) {
    ClientOptions options;
    options.server = flags_.server;
    options.timeout = absl::Seconds(flags_.timeout_seconds);
    client_ = std::make_unique<Client>(std::move(options));
  }
  return *client_;
}

void Session::PrintJson(const Json& json) { out() << ToLine(json) << "\n"; }

void Session::PrintJson(const google::protobuf::Message& message) {
  PrintJson(MessageToJson(message));
}

void Session::Note(absl::string_view text) {
  if (!quiet()) err() << text << "\n";
}

std::string Session::OutColor(Color color, absl::string_view text) const {
  const bool plain =
      !environment_.out_is_terminal || flags_.no_color || environment_.no_color;
  return plain ? std::string(text) : Colored(color, text);
}

std::string Session::ErrColor(Color color, absl::string_view text) const {
  const bool plain =
      !environment_.err_is_terminal || flags_.no_color || environment_.no_color;
  return plain ? std::string(text) : Colored(color, text);
}

std::string Session::StateText(v1::JobState state) const {
  const std::string& name = v1::JobState_Name(state);
  switch (state) {
    case v1::RUNNING:
      return OutColor(Color::kBlue, name);
    case v1::SUCCEEDED:
      return OutColor(Color::kGreen, name);
    case v1::FAILED:
      return OutColor(Color::kRed, name);
    case v1::CANCELLED:
      return OutColor(Color::kYellow, name);
    default:
      return name.empty() ? absl::StrCat("state ", static_cast<int>(state))
                          : name;
  }
}

}  // namespace quantd
