#include "client/job_progress.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/human_text.h"
#include "client/message_json.h"
#include "client/session.h"
#include "client/table.h"

namespace quantd {
namespace {

double Fraction(const v1::Job& job) {
  if (job.state() == v1::SUCCEEDED) return 1;
  const double fraction = job.progress().fraction();
  return fraction >= 0 ? std::min(fraction, 1.0) : 0;  // NaN too
}

int Percent(const v1::Job& job) {
  return static_cast<int>(std::floor(Fraction(job) * 100 + 1e-9));
}

// "quantize blocks.3.mlp.down_proj", or why nothing runs yet.
std::string Activity(const v1::Job& job) {
  if (job.state() != v1::RUNNING) {
    std::string text = v1::JobState_Name(job.state());
    if (!job.state_reason().empty()) {
      absl::StrAppend(&text, " (", job.state_reason(), ")");
    }
    return text;
  }
  if (job.progress().phase().empty()) return "RUNNING";
  if (job.progress().detail().empty()) return job.progress().phase();
  return absl::StrCat(job.progress().phase(), " ", job.progress().detail());
}

class SilentProgress : public JobProgress {
 public:
  void Show(const v1::WatchJobResponse& response) override {}
  void Remark(absl::string_view text) override {}
  void Finish() override {}
};

class ProgressLines : public JobProgress {
 public:
  explicit ProgressLines(std::ostream& out) : out_(out) {}

  void Show(const v1::WatchJobResponse& response) override {
    const v1::Job& job = response.job();
    const std::string id = absl::StrCat(job.name(), ": ");
    if (response.has_event()) {
      out_ << id << EventText(response.event()) << "\n" << std::flush;
    }
    if (job.attempt() != attempt_) {
      attempt_ = job.attempt();
      last_tenth_ = 0;
    }
    const int tenth = Percent(job) / 10;
    if (job.state() != v1::RUNNING || tenth <= last_tenth_) return;
    last_tenth_ = tenth;
    out_ << id << tenth * 10 << " % " << Activity(job);
    if (job.progress().eta_seconds() > 0) {
      out_ << ", ETA " << HumanSeconds(job.progress().eta_seconds());
    }
    out_ << "\n" << std::flush;
  }

  void Remark(absl::string_view text) override {
    out_ << text << "\n" << std::flush;
  }
  void Finish() override {}

 private:
  std::ostream& out_;
  uint32_t attempt_ = 0;
  int last_tenth_ = 0;
};

class ProgressJson : public JobProgress {
 public:
  explicit ProgressJson(std::ostream& out) : out_(out) {}

  void Show(const v1::WatchJobResponse& response) override {
    const v1::Job& job = response.job();
    Json line = {{"job", job.name()},
                 {"state", v1::JobState_Name(job.state())},
                 {"attempt", job.attempt()}};
    if (response.has_event()) {
      line["event"] = MessageToJson(response.event());
    }
    if (job.has_progress()) line["progress"] = MessageToJson(job.progress());
    out_ << ToLine(line) << "\n" << std::flush;
  }
  void Remark(absl::string_view text) override {
    out_ << ToLine(Json{{"remark", std::string(text)}}) << "\n" << std::flush;
  }
  void Finish() override {}

 private:
  std::ostream& out_;
};

class ProgressBar : public JobProgress {
 public:
  ProgressBar(std::ostream& out, int columns, std::function<absl::Time()> now)
      : out_(out), columns_(columns), now_(std::move(now)) {}

  void Show(const v1::WatchJobResponse& response) override {
    const v1::Job& job = response.job();
    if (response.has_event() &&
        response.event().kind_case() == v1::JobEvent::kWarning) {
      Remark(EventText(response.event()));
    }
    if (job.state() == v1::RUNNING && job.attempt() != attempt_) {
      attempt_ = job.attempt();
      started_ = now_();
      start_fraction_ = Fraction(job);
    }
    Draw(ProgressBarText(job, columns_ - 1, Eta(job)));
  }

  void Remark(absl::string_view text) override {
    Draw("");
    out_ << text << "\n" << std::flush;
  }

  void Finish() override { Draw(""); }

 private:
  // Back to the first column, the text, and the rest of the line erased.
  void Draw(const std::string& text) {
    out_ << "\r" << text << "\033[K" << std::flush;
  }

  // The server's estimate, or one from the speed of this attempt so far.
  double Eta(const v1::Job& job) const {
    if (job.state() != v1::RUNNING) return 0;
    if (job.progress().eta_seconds() > 0) return job.progress().eta_seconds();
    const double done = Fraction(job) - start_fraction_;
    // Before two percent an estimate is mostly noise.
    if (done < 0.02) return 0;
    const double elapsed = absl::ToDoubleSeconds(now_() - started_);
    return elapsed * (1 - Fraction(job)) / done;
  }

  std::ostream& out_;
  const int columns_;
  const std::function<absl::Time()> now_;
  uint32_t attempt_ = 0;
  absl::Time started_;
  double start_fraction_ = 0;
};

}  // namespace

std::string ProgressBarText(const v1::Job& job, int columns,
                            double eta_seconds) {
  constexpr int kBar = 24;
  const int filled = static_cast<int>(Fraction(job) * kBar + 1e-9);
  std::string text = absl::StrFormat(
      "[%s%s] %3d %%  ", std::string(static_cast<size_t>(filled), '#'),
      std::string(static_cast<size_t>(kBar - filled), '-'), Percent(job));
  const std::string eta =
      eta_seconds > 0 ? absl::StrCat("  ETA ", HumanSeconds(eta_seconds)) : "";
  // The activity gives way when the line is short.
  std::string activity = Activity(job);
  const int room = columns - DisplayWidth(text) - DisplayWidth(eta);
  if (DisplayWidth(activity) > room) {
    activity.resize(static_cast<size_t>(std::max(room, 0)));
  }
  absl::StrAppend(&text, activity, eta);
  return text;
}

std::string EventText(const v1::JobEvent& event) {
  switch (event.kind_case()) {
    case v1::JobEvent::kState: {
      std::string text = v1::JobState_Name(event.state().to());
      if (event.attempt() > 1) {
        absl::StrAppend(&text, ", attempt ", event.attempt());
      }
      if (!event.state().reason().empty()) {
        absl::StrAppend(&text, " (", event.state().reason(), ")");
      }
      return text;
    }
    case v1::JobEvent::kNote:
      return event.note();
    case v1::JobEvent::kWarning:
      return absl::StrCat("warning: ", event.warning());
    case v1::JobEvent::KIND_NOT_SET:
      break;
  }
  return "event of a kind this version does not know";
}

std::unique_ptr<JobProgress> NewProgressBar(std::ostream& out, int columns,
                                            std::function<absl::Time()> now) {
  return std::make_unique<ProgressBar>(out, columns, std::move(now));
}

std::unique_ptr<JobProgress> NewProgressLines(std::ostream& out) {
  return std::make_unique<ProgressLines>(out);
}

std::unique_ptr<JobProgress> NewProgressJson(std::ostream& out) {
  return std::make_unique<ProgressJson>(out);
}

std::unique_ptr<JobProgress> NewSilentProgress() {
  return std::make_unique<SilentProgress>();
}

std::unique_ptr<JobProgress> NewProgress(Session& session) {
  if (session.quiet()) return NewSilentProgress();
  if (session.json()) return NewProgressJson(session.err());
  const Environment& environment = session.environment();
  if (environment.err_is_terminal) {
    return NewProgressBar(session.err(), environment.columns, environment.now);
  }
  return NewProgressLines(session.err());
}

}  // namespace quantd
