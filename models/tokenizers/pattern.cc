#include "models/tokenizers/pattern.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/json_text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace quantd {
namespace {

constexpr size_t kMaxPatternBytes = size_t{64} << 10;
// Backtracking steps of one match. Real patterns stay far below, even on
// megabytes of blanks.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kHeapLimitKib = 64 << 10;
// The machine stack's 32 KiB serve nearly all matches; a match that needs
// more gets its own stack, up to this size.
constexpr size_t kJitStackStart = size_t{32} << 10;
constexpr size_t kJitStackMax = size_t{16} << 20;

std::string ErrorMessage(int code) {
  PCRE2_UCHAR8 text[256];
  if (pcre2_get_error_message_8(code, text, sizeof(text)) < 0) {
    return absl::StrCat("PCRE2 error ", code);
  }
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct MatchScratch::State {
  State()
      : data(pcre2_match_data_create_8(1, nullptr)),
        context(pcre2_match_context_create_8(nullptr)) {
    if (context == nullptr) return;
    pcre2_set_match_limit_8(context, kMatchLimit);
    pcre2_set_heap_limit_8(context, kHeapLimitKib);
  }
  ~State() {
    pcre2_match_context_free_8(context);
    pcre2_match_data_free_8(data);
    pcre2_jit_stack_free_8(stack);
  }

  pcre2_match_data_8* const data;
  pcre2_match_context_8* const context;
  pcre2_jit_stack_8* stack = nullptr;
};

MatchScratch::MatchScratch() : state_(std::make_unique<State>()) {}
MatchScratch::~MatchScratch() = default;

struct Pattern::Code {
  explicit Code(pcre2_code_8* code_arg) : code(code_arg) {}
  ~Code() { pcre2_code_free_8(code); }

  pcre2_code_8* const code;
  bool has_jit = false;
};

Pattern::Pattern(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Pattern::~Pattern() = default;

absl::StatusOr<std::unique_ptr<const Pattern>> Pattern::CompileWith(
    absl::string_view regex, uint32_t options) {
  std::unique_ptr<pcre2_compile_context_8,
                  decltype(&pcre2_compile_context_free_8)>
      context(pcre2_compile_context_create_8(nullptr),
              &pcre2_compile_context_free_8);
  if (context == nullptr) {
    return absl::ResourceExhaustedError("out of memory for a pattern");
  }
  pcre2_set_newline_8(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length_8(context.get(), kMaxPatternBytes);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code_8* code =
      pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(regex.data()), regex.size(),
                      options | PCRE2_UTF, &error, &offset, context.get());
  if (code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pattern ", Quoted(regex), " does not compile: ", ErrorMessage(error),
        " at offset ", offset));
  }
  auto owned = std::make_unique<Code>(code);
  // Without executable memory the interpreter does the same, slower.
  owned->has_jit = pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE) == 0;
  return std::unique_ptr<const Pattern>(new Pattern(std::move(owned)));
}

absl::StatusOr<std::unique_ptr<const Pattern>> Pattern::CompilePcre2(
    absl::string_view regex) {
  return CompileWith(regex,
                     PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
}

absl::StatusOr<std::unique_ptr<const Pattern>> Pattern::Compile(
    absl::string_view regex) {
  auto translated = TranslateOniguruma(regex);
  if (!translated.ok()) {
    return Annotate(translated.status(), "pattern ", Quoted(regex));
  }
  return CompilePcre2(*translated);
}

absl::StatusOr<std::unique_ptr<const Pattern>> Pattern::CompileLiteral(
    absl::string_view text) {
  return CompileWith(text, PCRE2_LITERAL);
}

absl::StatusOr<std::optional<Pattern::Match>> Pattern::Find(
    absl::string_view text, size_t from, MatchScratch& scratch) const {
  MatchScratch::State& state = *scratch.state_;
  if (state.data == nullptr || state.context == nullptr) {
    return absl::ResourceExhaustedError("out of memory for a match");
  }
  // A null subject of length zero is an error to some versions.
  const auto* subject =
      reinterpret_cast<PCRE2_SPTR8>(text.empty() ? "" : text.data());
  const auto run = [&] {
    // pcre2_jit_match() skips the checks that pcre2_match() repeats per call;
    // the caller's promises stand in for them.
    return code_->has_jit
               ? pcre2_jit_match_8(code_->code, subject, text.size(), from, 0,
                                   state.data, state.context)
               : pcre2_match_8(code_->code, subject, text.size(), from,
                               PCRE2_NO_UTF_CHECK, state.data, state.context);
  };
  int result = run();
  if (result == PCRE2_ERROR_JIT_STACKLIMIT && state.stack == nullptr) {
    state.stack =
        pcre2_jit_stack_create_8(kJitStackStart, kJitStackMax, nullptr);
    if (state.stack != nullptr) {
      pcre2_jit_stack_assign_8(state.context, nullptr, state.stack);
      result = run();
    }
  }
  if (result == PCRE2_ERROR_NOMATCH) return std::optional<Match>();
  if (result < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("matching a pattern at byte ", from,
                     " of the text: ", ErrorMessage(result)));
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer_8(state.data);
  // \K in a lookaround can make a match that ends before it begins, or that
  // begins before `from`.
  if (ends[0] > ends[1] || ends[0] < from) {
    return absl::InvalidArgumentError(
        "a pattern reports a match outside of its place");
  }
  return std::optional<Match>(Match{ends[0], ends[1]});
}

absl::Status Pattern::VisitMatches(
    absl::string_view text, MatchScratch& scratch,
    absl::FunctionRef<absl::Status(size_t, size_t, bool)> visit) const {
  size_t done = 0;
  size_t from = 0;
  bool any = false;
  while (from <= text.size()) {
    ASSIGN_OR_RETURN(const std::optional<Match> match,
                     Find(text, from, scratch));
    if (!match) break;
    if (match->begin == match->end && any && match->end == done) {
      if (from == text.size()) break;
      size_t length;
      DecodeUtf8(text, from, &length);
      from += length;
      continue;
    }
    if (match->begin > done) {
      RETURN_IF_ERROR(visit(done, match->begin, false));
    }
    RETURN_IF_ERROR(visit(match->begin, match->end, true));
    done = from = match->end;
    any = true;
  }
  if (done < text.size()) return visit(done, text.size(), false);
  return absl::OkStatus();
}

absl::StatusOr<PatternText> ReadPattern(const JsonReader& member) {
  ASSIGN_OR_RETURN(const JsonReader pattern, member.GetObject("pattern"));
  if (pattern.Has("Regex") == pattern.Has("String")) {
    return member.Fault("pattern", "expected either \"Regex\" or \"String\"");
  }
  const absl::string_view kind = pattern.Has("Regex") ? "Regex" : "String";
  PatternText result;
  ASSIGN_OR_RETURN(result.literal, pattern.GetString(kind));
  if (result.literal.empty()) return pattern.Fault(kind, "empty");
  if (kind == "String") return result;
  auto compiled = Pattern::Compile(result.literal);
  if (!compiled.ok()) {
    return Annotate(compiled.status(), member.origin(), ": ",
                    pattern.PathOf(kind));
  }
  result.literal.clear();
  result.regex = *std::move(compiled);
  return result;
}

}  // namespace quantd
