#include "evaluators/score_store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/bounded_directory.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;

// Raised when equal requests would get other numbers, or for other files.
constexpr int kVersion = 1;
constexpr char kSuffix[] = ".scores";
// A file is of no use to a reader that cannot hold it.
constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;
constexpr double kFlushSeconds = 2;
constexpr size_t kMaxPendingBytes = size_t{8} << 20;

// A record: key, count of numbers, the numbers, checksum over all before it.
// Numbers are as the machine has them; another machine has another context.
constexpr size_t kKeyBytes = 32;
constexpr size_t kChecksumBytes = 16;
constexpr size_t kHeaderBytes = kKeyBytes + sizeof(uint32_t);

// Half of a digest tells requests apart.
std::string KeyOf(const ScoreRequest& request) {
  Sha256 digest;
  const int32_t scored[] = {request.first_target, request.target_count};
  digest.Update({reinterpret_cast<const char*>(scored), sizeof(scored)});
  digest.Update({reinterpret_cast<const char*>(request.tokens.data()),
                 request.tokens.size() * sizeof(int32_t)});
  return digest.FinishHex().substr(0, kKeyBytes);
}

std::string ChecksumOf(absl::string_view record) {
  return Sha256Hex(record).substr(0, kChecksumBytes);
}

constexpr size_t kScoreNumbers = 3;

void Add(const TokenScore& score, std::vector<double>* numbers) {
  numbers->insert(numbers->end(),
                  {score.nll, score.entropy, static_cast<double>(score.top)});
}

void Get(const double* numbers, TokenScore* score) {
  score->nll = numbers[0];
  score->entropy = numbers[1];
  score->top = static_cast<int32_t>(numbers[2]);
}

constexpr size_t kDivergenceNumbers = 12;

void Add(const TargetDivergence& t, std::vector<double>* numbers) {
  numbers->insert(numbers->end(),
                  {t.baseline_nll, t.candidate_nll, t.kl, t.reverse_kl, t.js,
                   t.baseline_entropy, t.candidate_entropy,
                   static_cast<double>(t.baseline_top),
                   static_cast<double>(t.candidate_top), t.baseline_confidence,
                   t.candidate_confidence, t.top_overlap});
}

void Get(const double* numbers, TargetDivergence* t) {
  t->baseline_nll = numbers[0];
  t->candidate_nll = numbers[1];
  t->kl = numbers[2];
  t->reverse_kl = numbers[3];
  t->js = numbers[4];
  t->baseline_entropy = numbers[5];
  t->candidate_entropy = numbers[6];
  t->baseline_top = static_cast<int32_t>(numbers[7]);
  t->candidate_top = static_cast<int32_t>(numbers[8]);
  t->baseline_confidence = numbers[9];
  t->candidate_confidence = numbers[10];
  t->top_overlap = numbers[11];
}

template <typename Result>
std::vector<double> ToNumbers(absl::Span<const Result> results) {
  std::vector<double> numbers;
  for (const Result& result : results) Add(result, &numbers);
  return numbers;
}

template <typename Result>
std::vector<Result> FromNumbers(const std::vector<double>& numbers,
                                size_t per_target) {
  std::vector<Result> results(numbers.size() / per_target);
  for (size_t t = 0; t < results.size(); ++t) {
    Get(numbers.data() + t * per_target, &results[t]);
  }
  return results;
}

double Now() { return absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()); }

}  // namespace

std::string ScoreContext::Digest() const {
  return Sha256Hex(absl::StrCat("quantd-scores.v", kVersion, "\n",
                                weights_digest, "\n", baseline_weights_digest,
                                "\n", arithmetic, "\n"));
}

ScoreStore::ScoreStore(std::string directory, const ScoreContext& context,
                       uint64_t max_bytes)
    : directory_(max_bytes > 0 ? std::move(directory) : std::string()),
      context_(context.Digest()),
      max_bytes_(max_bytes),
      last_flush_(Now()) {
  if (directory_.empty()) return;
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (absl::StartsWith(name, context_) && absl::EndsWith(name, kSuffix)) {
      paths.push_back(it->path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) ReadFileOf(path);
}

ScoreStore::~ScoreStore() {
  (void)Flush();
  if (fd_ < 0) return;
  close(fd_);
  // The kernel's clock for files may lag behind the one that marked the others.
  TouchFile(path_);
  DropOldestFiles(directory_, kSuffix, max_bytes_);
}

void ScoreStore::ReadFileOf(const std::string& path) {
  const auto content = ReadFile(path, kMaxFileBytes);
  if (!content.ok()) return;
  TouchFile(path);
  absl::string_view rest = *content;
  while (rest.size() >= kHeaderBytes) {
    uint32_t count = 0;
    std::memcpy(&count, rest.data() + kKeyBytes, sizeof(count));
    const uint64_t size =
        kHeaderBytes + uint64_t{count} * sizeof(double) + kChecksumBytes;
    if (size > rest.size()) return;
    const absl::string_view record = rest.substr(0, size - kChecksumBytes);
    if (ChecksumOf(record) != rest.substr(record.size(), kChecksumBytes)) {
      return;
    }
    Numbers numbers(count);
    std::memcpy(numbers.data(), record.data() + kHeaderBytes,
                count * sizeof(double));
    kept_.try_emplace(std::string(rest.substr(0, kKeyBytes)),
                      std::move(numbers));
    rest.remove_prefix(size);
  }
}

const ScoreStore::Numbers* ScoreStore::Find(const ScoreRequest& request,
                                            size_t per_target) const {
  if (kept_.empty()) return nullptr;
  const auto found = kept_.find(KeyOf(request));
  if (found == kept_.end() ||
      found->second.size() !=
          static_cast<size_t>(request.target_count) * per_target) {
    return nullptr;
  }
  return &found->second;
}

std::optional<std::vector<TokenScore>> ScoreStore::FindScores(
    const ScoreRequest& request) const {
  const Numbers* numbers = Find(request, kScoreNumbers);
  if (numbers == nullptr) return std::nullopt;
  return FromNumbers<TokenScore>(*numbers, kScoreNumbers);
}

std::optional<std::vector<TargetDivergence>> ScoreStore::FindDivergences(
    const ScoreRequest& request) const {
  const Numbers* numbers = Find(request, kDivergenceNumbers);
  if (numbers == nullptr) return std::nullopt;
  return FromNumbers<TargetDivergence>(*numbers, kDivergenceNumbers);
}

absl::Status ScoreStore::Put(const ScoreRequest& request,
                             absl::Span<const TokenScore> scores) {
  return directory_.empty() ? absl::OkStatus()
                            : Append(request, ToNumbers(scores));
}

absl::Status ScoreStore::Put(const ScoreRequest& request,
                             absl::Span<const TargetDivergence> divergences) {
  return directory_.empty() ? absl::OkStatus()
                            : Append(request, ToNumbers(divergences));
}

absl::Status ScoreStore::Append(const ScoreRequest& request, Numbers numbers) {
  std::string key = KeyOf(request);
  const uint32_t count = static_cast<uint32_t>(numbers.size());
  const size_t begin = pending_.size();
  pending_ += key;
  pending_.append(reinterpret_cast<const char*>(&count), sizeof(count));
  pending_.append(reinterpret_cast<const char*>(numbers.data()),
                  numbers.size() * sizeof(double));
  pending_ += ChecksumOf(absl::string_view(pending_).substr(begin));
  kept_.try_emplace(std::move(key), std::move(numbers));
  if (pending_.size() < kMaxPendingBytes &&
      Now() < last_flush_ + kFlushSeconds) {
    return absl::OkStatus();
  }
  return Flush();
}

absl::Status ScoreStore::Flush() {
  last_flush_ = Now();
  if (pending_.empty()) return absl::OkStatus();
  const std::string records = std::move(pending_);
  pending_.clear();
  if (fd_ < 0) {
    RETURN_IF_ERROR(CreateDirectories(directory_));
    path_ = absl::StrCat(directory_, "/", context_, ".", getpid(), "-",
                         absl::GetCurrentTimeNanos(), kSuffix);
    fd_ = open(path_.c_str(),
               O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd_ < 0) return ErrnoToStatus(errno, "create", path_);
  }
  absl::string_view rest = records;
  while (!rest.empty()) {
    const ssize_t written = write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoToStatus(errno, "write", path_);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (fdatasync(fd_) != 0) return ErrnoToStatus(errno, "fdatasync", path_);
  return absl::OkStatus();
}

}  // namespace quantd
