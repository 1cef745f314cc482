// What every command of quantctl works with: where it writes, the global
// flags, and the connection.
//
// Confined to the thread that runs the command.
#ifndef QUANTD_CLIENT_SESSION_H_
#define QUANTD_CLIENT_SESSION_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "client/interrupts.h"
#include "client/message_json.h"

namespace quantd {

// The process around a command. Tests make their own.
struct Environment {
  std::ostream* out = nullptr;  // results
  std::ostream* err = nullptr;  // progress and errors
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int columns = 80;
  // QUANTD_SERVER; empty when not set.
  std::string server;
  // NO_COLOR is set.
  bool no_color = false;
  Interrupts* interrupts = nullptr;
  // The clock of estimates and pauses of the log reader.
  std::function<absl::Time()> now = [] { return absl::Now(); };
};

// Flags that every command takes.
struct GlobalFlags {
  std::string server = "127.0.0.1:50151";
  bool json = false;
  double timeout_seconds = 60;
  bool quiet = false;
  bool no_color = false;
};

enum class Color { kRed, kGreen, kYellow, kBlue, kBold };

class Session {
 public:
  Session(const Environment& environment, const GlobalFlags& flags);

  std::ostream& out() { return *environment_.out; }
  std::ostream& err() { return *environment_.err; }
  const Environment& environment() const { return environment_; }
  bool json() const { return flags_.json; }
  bool quiet() const { return flags_.quiet; }

  // Connects on first use.
  Client& client();

  // One JSON value, one line, on standard output.
  void PrintJson(const Json& json);
  void PrintJson(const google::protobuf::Message& message);

  // A line for people on standard error; nothing with --quiet.
  void Note(absl::string_view text);

  // `text` coloured where standard output (error) is a terminal that wants
  // it.
  std::string OutColor(Color color, absl::string_view text) const;
  std::string ErrColor(Color color, absl::string_view text) const;
  // A job state in its colour.
  std::string StateText(v1::JobState state) const;

 private:
  const Environment& environment_;
  const GlobalFlags& flags_;
  std::unique_ptr<Client> client_;
};

}  // namespace quantd

#endif  // QUANTD_CLIENT_SESSION_H_
