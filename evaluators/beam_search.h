// Beam search over one prompt, and its diverse form (Vijayakumar et al. 2016,
// arXiv:1610.02424): the beams are divided into groups that advance one after
// the other, and a group pays for tokens that earlier groups chose at the same
// step. One group is plain beam search.
//
// The search knows nothing of networks: it asks for the beams' next logits and
// says which beams the next step continues.
#ifndef QUANTD_EVALUATORS_BEAM_SEARCH_H_
#define QUANTD_EVALUATORS_BEAM_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tensor/tensor.h"

namespace quantd {

struct BeamOptions {
  int beams = 1;
  int groups = 1;  // divides beams
  // Taken from the log-probability of a token, once for every beam of an
  // earlier group that chose it at the same step (Hamming diversity).
  double diversity = 0.5;
  // Ranking divides a beam's score by its number of tokens to this power; 0
  // ranks by the plain sum.
  double length_penalty = 0.0;
  int max_new_tokens = 64;
  std::vector<int32_t> stop_tokens;
  // Whether a beam is complete with the tokens it has so far, its last one new:
  // for stop sequences, which may take several tokens. Empty: never.
  std::function<bool(absl::Span<const int32_t> tokens)> is_complete;
};

// InvalidArgument names the option.
absl::Status CheckBeamOptions(const BeamOptions& options);

struct Beam {
  std::vector<int32_t> tokens;  // new ones, without the stop token
  double log_probability = 0;   // sum over its tokens, the stop token included
  double score = 0;             // the same less the price of diversity
  bool stopped = false;  // by a stop token or complete, not by the length
  // The one that ended it; absent where what completed it is among `tokens`.
  std::optional<int32_t> stop_token;

  // Those that log_probability is a sum over.
  size_t scored_tokens() const {
    return tokens.size() + (stop_token.has_value() ? 1 : 0);
  }
};

// The beam with the highest score by the length penalty, of all groups, as
// transformers chooses it; of equal ones the first. REQUIRES: there are beams.
const Beam& BestBeam(absl::Span<const Beam> beams, double length_penalty);

class BeamSearch {
 public:
  // REQUIRES: CheckBeamOptions() was OK.
  explicit BeamSearch(const BeamOptions& options);

  // What the network must do next: sequence i goes on as a copy of sequence
  // sources[i] of the step before, with tokens[i] appended.
  struct Step {
    std::vector<int> sources;
    std::vector<int32_t> tokens;
  };

  // `logits` has one row for every sequence of the last step (one row at the
  // first call: the prompt's). An empty step: the search has ended.
  Step Advance(const Tensor& logits);

  // After the last step: the beams of every group, best first, group after
  // group.
  std::vector<Beam> Finish() const;

 private:
  struct Group {
    std::vector<Beam> alive;
    std::vector<int> rows;  // of the logits, one a living beam
    std::vector<Beam> finished;
    bool ended = false;
  };

  void AdvanceGroup(const std::vector<std::vector<double>>& log_probabilities,
                    const std::vector<int32_t>& chosen_before, Group* group,
                    std::vector<int>* sources, std::vector<int32_t>* chosen);
  bool CanImprove(const Group& group) const;

  const BeamOptions options_;
  const size_t beams_per_group_;
  std::vector<Group> groups_;
  int steps_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_BEAM_SEARCH_H_
