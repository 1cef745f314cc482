// Keeps what networks said of token sequences, by content: an evaluation that
// was interrupted goes on where it stopped, and what was scored once is not
// scored again.
//
//   <directory>/<context>.<writer>.scores
//
// A file holds results of one context, that is of everything that decides them
// beside the tokens (ScoreContext); a result's key is the digest of its tokens
// and of which of them are scored. Two tasks that ask the same share results,
// whatever they are called. Results found are those of the run that made them:
// with ComputeType::kF32 a run of other requests beside them would differ by
// the rounding of products, with kF32Strict by nothing.
//
// Results are appended record by record, each with a checksum, and synced: a
// killed process loses those of the last moments. A record that is torn ends
// its file; it and what is behind it are scored again. Every process writes a
// file of its own, so that several may share a directory.
//
// Confined to one thread.
#ifndef QUANTD_EVALUATORS_SCORE_STORE_H_
#define QUANTD_EVALUATORS_SCORE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/logit_divergence.h"
#include "evaluators/prefix_plan.h"
#include "evaluators/token_score.h"

namespace quantd {

// What results depend on beside the requests.
struct ScoreContext {
  std::string weights_digest;
  // Of what divergences are from; empty for scores.
  std::string baseline_weights_digest;
  // Device, implementation and type of products.
  std::string arithmetic;

  // SHA-256 in hexadecimal.
  std::string Digest() const;
};

class ScoreStore {
 public:
  // Reads what `directory` has for the context. An empty directory name, or one
  // that cannot be read, keeps nothing. After a run the oldest files of all
  // contexts go until `max_bytes` are kept.
  ScoreStore(std::string directory, const ScoreContext& context,
             uint64_t max_bytes);
  ~ScoreStore();
  ScoreStore(const ScoreStore&) = delete;
  ScoreStore& operator=(const ScoreStore&) = delete;

  // What is kept for a request; nullopt if nothing.
  std::optional<std::vector<TokenScore>> FindScores(
      const ScoreRequest& request) const;
  std::optional<std::vector<TargetDivergence>> FindDivergences(
      const ScoreRequest& request) const;

  // Keeps the results of a request; on disk after the next Flush(), which
  // happens by itself every few seconds. Errors of the file system: the run can
  // go on, what was not written is scored again one day.
  absl::Status Put(const ScoreRequest& request,
                   absl::Span<const TokenScore> scores);
  absl::Status Put(const ScoreRequest& request,
                   absl::Span<const TargetDivergence> divergences);
  absl::Status Flush();

 private:
  // Numbers of a request, those of one target together.
  using Numbers = std::vector<double>;

  void ReadFileOf(const std::string& path);
  const Numbers* Find(const ScoreRequest& request, size_t per_target) const;
  absl::Status Append(const ScoreRequest& request, Numbers numbers);

  const std::string directory_;
  const std::string context_;
  const uint64_t max_bytes_;
  absl::flat_hash_map<std::string, Numbers> kept_;
  // Records not written yet, and the file for them.
  std::string pending_;
  double last_flush_ = 0;
  std::string path_;
  int fd_ = -1;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_SCORE_STORE_H_
