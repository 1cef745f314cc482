// What was measured, kept in a file beside the page (docs/methods.json): a call
// goes on where the last one stopped, and a row that is added later needs only
// itself, on whatever machine.
//
// Thread-compatible.
#ifndef QUANTD_TESTS_METHODS_METHOD_RECORD_H_
#define QUANTD_TESTS_METHODS_METHOD_RECORD_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "tests/methods/method_gates.h"
#include "tests/methods/method_rows.h"
#include "tests/methods/method_table.h"

namespace quantd::test {

class MethodRecord {
 public:
  // `setup` tells what all rows share: version, windows, model, texts. An
  // absent file is an empty record. InvalidArgument when it is not one.
  static absl::StatusOr<MethodRecord> Open(const std::string& path,
                                           const std::string& setup);

  // What is kept of a row, if its method and settings and the setup are those
  // that were measured.
  std::optional<MethodResult> Find(const MethodRow& row) const;

  // Keeps a row, in place of any other of its id; on disk when it returns.
  absl::Status Put(const MethodRow& row, const MethodResult& result);

  // What scoring said of the original: the same for every row.
  absl::Status PutOriginal(const MethodContext& context);
  // NotFound when nothing was scored.
  absl::Status FillOriginal(MethodContext* context) const;

  // Of a row and the setup, in hexadecimal.
  std::string KeyOf(const MethodRow& row) const;

 private:
  MethodRecord(std::string path, std::string setup)
      : path_(std::move(path)), setup_(std::move(setup)) {}

  absl::Status Write() const;

  std::string path_;
  std::string setup_;
  nlohmann::json json_ = nlohmann::json::object();
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_METHODS_METHOD_RECORD_H_
