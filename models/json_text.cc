#include "models/json_text.h"

#include <cmath>
#include <exception>
#include <iterator>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

constexpr size_t kMaxQuotedBytes = 64;

// Walks the text and tells the builder below how far the lexer has read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest)
      : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const {
    return at_ == other.at_;
  }
  bool operator!=(const CountingIterator& other) const {
    return at_ != other.at_;
  }

 private:
  const char* at_;
  const char** furthest_;
};

// Builds the value from parser events. The library's own builder keeps the
// last of two equal keys and nests without limit; this one refuses both.
class BoundedBuilder {
 public:
  BoundedBuilder(int max_depth, const char* begin, const char* const* furthest)
      : max_depth_(static_cast<size_t>(max_depth)),
        begin_(begin),
        furthest_(furthest) {}

  bool null() { return Put(json(nullptr)); }
  bool boolean(bool value) { return Put(json(value)); }
  bool number_integer(json::number_integer_t value) { return Put(json(value)); }
  bool number_unsigned(json::number_unsigned_t value) {
    return Put(json(value));
  }
  bool number_float(json::number_float_t value, const std::string& /*text*/) {
    return Put(json(value));
  }
  bool string(std::string& value) { return Put(json(std::move(value))); }
  bool binary(json::binary_t& /*value*/) { return Fail("binary value"); }
  bool start_object(std::size_t /*size*/) { return Open(json::object()); }
  bool start_array(std::size_t /*size*/) { return Open(json::array()); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool key(std::string& name) {
    auto [place, is_new] = open_.back()->get_ref<json::object_t&>().emplace(
        std::move(name), nullptr);
    if (!is_new) {
      // The map may or may not have taken the name; the stored key is equal.
      return Fail(absl::StrCat("key ", Quoted(place->first),
                               " appears twice in one object"));
    }
    slot_ = &place->second;
    return true;
  }

  template <typename Exception>
  bool parse_error(std::size_t position, const std::string& /*last_token*/,
                   const Exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    absl::string_view what = error.what();
    if (const size_t end = what.find("] "); end != absl::string_view::npos) {
      what.remove_prefix(end + 2);
    }
    fault_ = absl::StrCat("byte ", position, ": ",
                          IsValidUtf8(what) ? absl::Utf8SafeCEscape(what)
                                            : absl::CHexEscape(what));
    return false;
  }

  const std::string& fault() const { return fault_; }
  json& root() { return root_; }

 private:
  bool Fail(absl::string_view what) {
    fault_ = absl::StrCat("byte ", *furthest_ - begin_, ": ", what);
    return false;
  }

  json* Place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      json::array_t& array = open_.back()->get_ref<json::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool Put(json value) {
    Place(std::move(value));
    return true;
  }

  bool Open(json container) {
    if (open_.size() == max_depth_) {
      return Fail(
          absl::StrCat("nested more than ", max_depth_, " levels deep"));
    }
    // An open array does not grow while one of its elements is open, so the
    // pointers on the stack stay valid.
    open_.push_back(Place(std::move(container)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const size_t max_depth_;
  const char* const begin_;
  const char* const* const furthest_;
  json root_;
  std::vector<json*> open_;
  json* slot_ = nullptr;  // of the key read last
  std::string fault_;
};

std::string Range(absl::string_view kind, double min, double max) {
  return absl::StrCat(kind, " in [", min, ", ", max, "]");
}

}  // namespace

absl::StatusOr<json> ParseJson(absl::string_view text, absl::string_view origin,
                               const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": ", text.size(), " bytes of JSON, the limit is ",
                     limits.max_bytes));
  }
  // A null pointer is no valid empty range for the lexer.
  if (text.empty()) text = absl::string_view("", 0);
  const char* furthest = text.data();
  BoundedBuilder builder(limits.max_depth, text.data(), &furthest);
  try {
    if (!json::sax_parse(CountingIterator(text.data(), &furthest),
                         CountingIterator(text.data() + text.size(), &furthest),
                         &builder)) {
      return absl::InvalidArgumentError(
          absl::StrCat(origin, ": ", builder.fault()));
    }
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat(origin, ": out of memory while parsing"));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": ", absl::CHexEscape(error.what())));
  }
  return std::move(builder.root());
}

std::string Quoted(absl::string_view text) {
  absl::string_view shown = text.substr(0, kMaxQuotedBytes);
  const size_t valid = ValidUtf8Prefix(shown);
  const bool cut = text.size() > kMaxQuotedBytes;
  // The cut may fall into a character; any other invalid byte is escaped.
  if (cut && shown.size() - valid < 4 && IsValidUtf8(text)) {
    shown = shown.substr(0, valid);
  }
  return absl::StrCat("\"",
                      IsValidUtf8(shown) ? absl::Utf8SafeCEscape(shown)
                                         : absl::CHexEscape(shown),
                      cut ? "\"..." : "\"");
}

std::string DescribeJson(const json& value) {
  switch (value.type()) {
    case json::value_t::string:
      return Quoted(value.get_ref<const std::string&>());
    case json::value_t::array:
      return absl::StrCat("an array of ", value.size());
    case json::value_t::object:
      return "an object";
    case json::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    case json::value_t::number_integer:
      return absl::StrCat(value.get<int64_t>());
    case json::value_t::number_unsigned:
      return absl::StrCat(value.get<uint64_t>());
    case json::value_t::number_float:
      return absl::StrCat(value.get<double>());
    default:
      return "null";
  }
}

JsonReader::JsonReader(const json* value, std::string origin, std::string path)
    : value_(value), origin_(std::move(origin)), path_(std::move(path)) {}

absl::StatusOr<JsonReader> JsonReader::Of(const json& value,
                                          absl::string_view origin,
                                          absl::string_view path) {
  if (!value.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": ", path, path.empty() ? "" : ": ",
                     "expected an object, got ", DescribeJson(value)));
  }
  return JsonReader(&value, std::string(origin), std::string(path));
}

const json* JsonReader::Find(absl::string_view key) const {
  const auto member = value_->find(std::string(key));
  return member == value_->end() || member->is_null() ? nullptr : &*member;
}

std::string JsonReader::PathOf(absl::string_view key) const {
  if (path_.empty()) return std::string(key);
  if (key.empty()) return path_;
  return absl::StrCat(path_, ".", key);
}

absl::Status JsonReader::Fault(absl::string_view key,
                               absl::string_view fault) const {
  return absl::InvalidArgumentError(
      absl::StrCat(origin_, ": ", PathOf(key), ": ", fault));
}

absl::Status JsonReader::Unsupported(absl::string_view key,
                                     absl::string_view fault) const {
  return absl::UnimplementedError(
      absl::StrCat(origin_, ": ", PathOf(key), ": ", fault,
                   " is not supported by this build"));
}

absl::Status JsonReader::Unexpected(absl::string_view key,
                                    absl::string_view expected,
                                    const json& got) const {
  return Fault(
      key, absl::StrCat("expected ", expected, ", got ", DescribeJson(got)));
}

absl::StatusOr<const json*> JsonReader::Required(
    absl::string_view key, absl::string_view expected) const {
  const json* member = Find(key);
  if (member == nullptr) {
    return Fault(key, absl::StrCat("missing; expected ", expected));
  }
  return member;
}

absl::StatusOr<int64_t> JsonReader::GetInt(absl::string_view key, int64_t min,
                                           int64_t max) const {
  const std::string expected =
      absl::StrCat("an integer in [", min, ", ", max, "]");
  const auto member = Required(key, expected);
  if (!member.ok()) return member.status();
  const json& value = **member;
  if (!value.is_number_integer()) return Unexpected(key, expected, value);
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    return Unexpected(key, expected, value);
  }
  const int64_t number = value.get<int64_t>();
  if (number < min || number > max) return Unexpected(key, expected, value);
  return number;
}

absl::StatusOr<double> JsonReader::GetDouble(absl::string_view key, double min,
                                             double max) const {
  const std::string expected = Range("a number", min, max);
  const auto member = Required(key, expected);
  if (!member.ok()) return member.status();
  const json& value = **member;
  if (!value.is_number()) return Unexpected(key, expected, value);
  const double number = value.get<double>();
  if (!std::isfinite(number) || number < min || number > max) {
    return Unexpected(key, expected, value);
  }
  return number;
}

absl::StatusOr<bool> JsonReader::GetBool(absl::string_view key) const {
  constexpr absl::string_view kExpected = "true or false";
  const auto member = Required(key, kExpected);
  if (!member.ok()) return member.status();
  if (!(*member)->is_boolean()) return Unexpected(key, kExpected, **member);
  return (*member)->get<bool>();
}

absl::StatusOr<std::string> JsonReader::GetString(absl::string_view key) const {
  constexpr absl::string_view kExpected = "a string";
  const auto member = Required(key, kExpected);
  if (!member.ok()) return member.status();
  if (!(*member)->is_string()) return Unexpected(key, kExpected, **member);
  return (*member)->get_ref<const std::string&>();
}

absl::StatusOr<JsonReader> JsonReader::GetObject(absl::string_view key) const {
  constexpr absl::string_view kExpected = "an object";
  const auto member = Required(key, kExpected);
  if (!member.ok()) return member.status();
  if (!(*member)->is_object()) return Unexpected(key, kExpected, **member);
  return JsonReader(*member, origin_, PathOf(key));
}

absl::StatusOr<const json*> JsonReader::GetArray(absl::string_view key) const {
  constexpr absl::string_view kExpected = "an array";
  const auto member = Required(key, kExpected);
  if (!member.ok()) return member.status();
  if (!(*member)->is_array()) return Unexpected(key, kExpected, **member);
  return *member;
}

absl::StatusOr<int64_t> JsonReader::GetIntOr(absl::string_view key,
                                             int64_t absent, int64_t min,
                                             int64_t max) const {
  if (!Has(key)) return absent;
  return GetInt(key, min, max);
}

absl::StatusOr<double> JsonReader::GetDoubleOr(absl::string_view key,
                                               double absent, double min,
                                               double max) const {
  if (!Has(key)) return absent;
  return GetDouble(key, min, max);
}

absl::StatusOr<bool> JsonReader::GetBoolOr(absl::string_view key,
                                           bool absent) const {
  if (!Has(key)) return absent;
  return GetBool(key);
}

absl::StatusOr<std::string> JsonReader::GetStringOr(
    absl::string_view key, absl::string_view absent) const {
  if (!Has(key)) return std::string(absent);
  return GetString(key);
}

absl::StatusOr<std::optional<JsonReader>> JsonReader::FindObject(
    absl::string_view key) const {
  if (!Has(key)) return std::optional<JsonReader>();
  auto object = GetObject(key);
  if (!object.ok()) return object.status();
  return std::optional<JsonReader>(*std::move(object));
}

}  // namespace quantd
