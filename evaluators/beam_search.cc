#include "evaluators/beam_search.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "evaluators/sampling.h"

namespace quantd {
namespace {

struct Candidate {
  size_t beam;
  int32_t token;
  double log_probability;
  double score;
};

double Rank(const Beam& beam, double length_penalty) {
  if (length_penalty == 0) return beam.score;
  const size_t length = std::max<size_t>(1, beam.scored_tokens());
  return beam.score / std::pow(static_cast<double>(length), length_penalty);
}

// Best first; of equal scores the earlier beam, then the lower token.
bool Better(const Candidate& a, const Candidate& b) {
  if (a.score != b.score) return a.score > b.score;
  if (a.beam != b.beam) return a.beam < b.beam;
  return a.token < b.token;
}

}  // namespace

absl::Status CheckBeamOptions(const BeamOptions& options) {
  if (options.beams < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("beams: ", options.beams, " is not positive"));
  }
  if (options.groups < 1 || options.beams % options.groups != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("beam_groups: ", options.groups, " does not divide the ",
                     options.beams, " beams"));
  }
  if (!(options.diversity >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("beam_diversity: ", options.diversity, " is negative"));
  }
  if (options.max_new_tokens < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_new_tokens: ", options.max_new_tokens, " is not positive"));
  }
  return absl::OkStatus();
}

const Beam& BestBeam(absl::Span<const Beam> beams, double length_penalty) {
  return *absl::c_max_element(beams, [&](const Beam& a, const Beam& b) {
    return Rank(a, length_penalty) < Rank(b, length_penalty);
  });
}

BeamSearch::BeamSearch(const BeamOptions& options)
    : options_(options),
      beams_per_group_(static_cast<size_t>(options.beams / options.groups)),
      groups_(static_cast<size_t>(options.groups)) {
  // At the first step the beams of a group are equal: one is expanded.
  for (Group& group : groups_) {
    group.alive.resize(1);
    group.rows.assign(1, 0);
  }
}

bool BeamSearch::CanImprove(const Group& group) const {
  if (group.finished.size() < beams_per_group_) return true;
  // With a length penalty a longer beam may still overtake.
  if (options_.length_penalty != 0) return true;
  double worst = group.finished[0].score;
  for (const Beam& beam : group.finished) worst = std::min(worst, beam.score);
  // Scores only fall as beams grow.
  for (const Beam& beam : group.alive) {
    if (beam.score > worst) return true;
  }
  return false;
}

void BeamSearch::AdvanceGroup(
    const std::vector<std::vector<double>>& log_probabilities,
    const std::vector<int32_t>& chosen_before, Group* group,
    std::vector<int>* sources, std::vector<int32_t>* chosen) {
  std::vector<double> prices(log_probabilities[0].size(), 0.0);
  for (int32_t token : chosen_before) {
    prices[static_cast<size_t>(token)] += options_.diversity;
  }
  std::vector<Candidate> candidates;
  for (size_t b = 0; b < group->alive.size(); ++b) {
    const std::vector<double>& row =
        log_probabilities[static_cast<size_t>(group->rows[b])];
    for (size_t v = 0; v < row.size(); ++v) {
      candidates.push_back({b, static_cast<int32_t>(v),
                            group->alive[b].log_probability + row[v],
                            group->alive[b].score + row[v] - prices[v]});
    }
  }
  const size_t taken = std::min(beams_per_group_, candidates.size());
  std::partial_sort(candidates.begin(),
                    candidates.begin() + static_cast<std::ptrdiff_t>(taken),
                    candidates.end(), Better);
  std::vector<Beam> alive;
  std::vector<int> rows;
  for (size_t i = 0; i < taken; ++i) {
    const Candidate& candidate = candidates[i];
    Beam beam = group->alive[candidate.beam];
    beam.log_probability = candidate.log_probability;
    beam.score = candidate.score;
    chosen->push_back(candidate.token);
    if (absl::c_linear_search(options_.stop_tokens, candidate.token)) {
      beam.stopped = true;
      beam.stop_token = candidate.token;
      group->finished.push_back(std::move(beam));
      continue;
    }
    beam.tokens.push_back(candidate.token);
    if (options_.is_complete && options_.is_complete(beam.tokens)) {
      beam.stopped = true;
      group->finished.push_back(std::move(beam));
      continue;
    }
    sources->push_back(group->rows[candidate.beam]);
    alive.push_back(std::move(beam));
  }
  group->alive = std::move(alive);
}

BeamSearch::Step BeamSearch::Advance(const Tensor& logits) {
  std::vector<std::vector<double>> log_probabilities;
  for (int64_t r = 0; r < logits.rows(); ++r) {
    log_probabilities.push_back(
        LogSoftmax({logits.row(r), static_cast<size_t>(logits.cols())}));
  }
  ++steps_;
  Step step;
  std::vector<int32_t> chosen_before;
  for (Group& group : groups_) {
    if (group.ended) continue;
    std::vector<int> sources;
    std::vector<int32_t> chosen;
    AdvanceGroup(log_probabilities, chosen_before, &group, &sources, &chosen);
    chosen_before.insert(chosen_before.end(), chosen.begin(), chosen.end());
    if (group.alive.empty() || !CanImprove(group) ||
        steps_ >= options_.max_new_tokens) {
      group.ended = true;
      continue;
    }
    group.rows.clear();
    for (size_t b = 0; b < group.alive.size(); ++b) {
      group.rows.push_back(static_cast<int>(step.sources.size()));
      step.sources.push_back(sources[b]);
      step.tokens.push_back(group.alive[b].tokens.back());
    }
  }
  return step;
}

std::vector<Beam> BeamSearch::Finish() const {
  std::vector<Beam> result;
  for (const Group& group : groups_) {
    std::vector<Beam> beams = group.finished;
    beams.insert(beams.end(), group.alive.begin(), group.alive.end());
    absl::c_stable_sort(beams, [this](const Beam& a, const Beam& b) {
      return Rank(a, options_.length_penalty) >
             Rank(b, options_.length_penalty);
    });
    if (beams.size() > beams_per_group_) beams.resize(beams_per_group_);
    result.insert(result.end(), beams.begin(), beams.end());
  }
  return result;
}

}  // namespace quantd
