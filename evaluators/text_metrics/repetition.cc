#include "evaluators/text_metrics/repetition.h"

#include <cstddef>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/ngram_hash.h"

namespace quantd {
namespace {

constexpr int kLongestNgram = 64;

absl::Status CheckOrder(int n) {
  if (n >= 1 && n <= kLongestNgram) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("n-grams of ", n, ", not of 1..", kLongestNgram));
}

void Add(absl::Span<const int32_t> text, int n,
         absl::flat_hash_set<uint64_t>* seen, NgramDiversity* diversity) {
  std::vector<uint64_t> units;
  units.reserve(text.size());
  for (int32_t token : text) units.push_back(HashOfToken(token));
  ForEachNgram(units, static_cast<size_t>(n), [&](uint64_t hash) {
    ++diversity->ngrams;
    diversity->distinct += seen->insert(hash).second;
  });
}

}  // namespace

absl::StatusOr<NgramDiversity> CountDistinct(
    absl::Span<const std::vector<int32_t>> texts, int n) {
  RETURN_IF_ERROR(CheckOrder(n));
  NgramDiversity diversity;
  absl::flat_hash_set<uint64_t> seen;
  for (const std::vector<int32_t>& text : texts) {
    Add(text, n, &seen, &diversity);
  }
  return diversity;
}

absl::StatusOr<NgramDiversity> CountRepeated(absl::Span<const int32_t> text,
                                             int n) {
  RETURN_IF_ERROR(CheckOrder(n));
  NgramDiversity diversity;
  absl::flat_hash_set<uint64_t> seen;
  Add(text, n, &seen, &diversity);
  return diversity;
}

absl::StatusOr<double> RepetitionRate(
    absl::Span<const std::vector<int32_t>> texts, int n) {
  if (texts.empty()) return absl::InvalidArgumentError("no texts");
  double sum = 0;
  for (const std::vector<int32_t>& text : texts) {
    ASSIGN_OR_RETURN(const NgramDiversity diversity, CountRepeated(text, n));
    sum += diversity.repeated_share();
  }
  return sum / static_cast<double>(texts.size());
}

absl::StatusOr<double> EarlyEndRate(absl::Span<const GenerationEnd> texts,
                                    uint64_t least_tokens) {
  if (texts.empty()) return absl::InvalidArgumentError("no texts");
  size_t early = 0;
  for (const GenerationEnd& text : texts) {
    early += text.ended && text.tokens < least_tokens;
  }
  return static_cast<double>(early) / static_cast<double>(texts.size());
}

}  // namespace quantd
