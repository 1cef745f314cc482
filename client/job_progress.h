// Shows how a job gets on while a command waits for it: a bar with an
// estimate on a terminal; elsewhere one line per change of state, per event
// and per ten percent; JSON lines when asked for; nothing with --quiet.
//
// Confined to one thread.
#ifndef QUANTD_CLIENT_JOB_PROGRESS_H_
#define QUANTD_CLIENT_JOB_PROGRESS_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

class Session;

class JobProgress {
 public:
  virtual ~JobProgress() = default;
  virtual void Show(const v1::WatchJobResponse& response) = 0;
  // A remark between responses, such as a lost connection.
  virtual void Remark(absl::string_view text) = 0;
  // Leaves the output on a fresh line. Call once, last.
  virtual void Finish() = 0;
};

// Redraws one line of at most `columns`. `now` estimates the time left when
// the server does not.
std::unique_ptr<JobProgress> NewProgressBar(std::ostream& out, int columns,
                                            std::function<absl::Time()> now);
std::unique_ptr<JobProgress> NewProgressLines(std::ostream& out);
std::unique_ptr<JobProgress> NewProgressJson(std::ostream& out);
std::unique_ptr<JobProgress> NewSilentProgress();

// The one that fits the session, on standard error.
std::unique_ptr<JobProgress> NewProgress(Session& session);

// "[#####-----]  50 %  quantize blocks.3  ETA 42 s".
std::string ProgressBarText(const v1::Job& job, int columns,
                            double eta_seconds);

// "attempt 1: RUNNING", "block 3 of 8 written", "warning: ...".
std::string EventText(const v1::JobEvent& event);

}  // namespace quantd

#endif  // QUANTD_CLIENT_JOB_PROGRESS_H_
