// What Ctrl-C does. A command that can stop in an orderly way installs a
// handler for as long as it can; otherwise the program ends as usual.
//
//   Interrupts::Handler handler(interrupts, [&] { client.Cancel(); });
//   ... long call ...
//   if (handler.interrupted()) ...
//
// main() turns SIGINT into Raise() on a thread of its own, so handlers run in
// ordinary code, not in a signal context; tests call Raise() themselves.
//
// Thread-safe.
#ifndef QUANTD_CLIENT_INTERRUPTS_H_
#define QUANTD_CLIENT_INTERRUPTS_H_

#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

class Interrupts {
 public:
  class Handler {
   public:
    // One at a time. `interrupts` and what `on_interrupt` uses must outlive
    // the handler.
    Handler(Interrupts& interrupts, std::function<void()> on_interrupt);
    ~Handler();
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;

    bool interrupted() const;

   private:
    friend class Interrupts;
    Interrupts& interrupts_;
    const std::function<void()> on_interrupt_;
    bool interrupted_ = false;  // guarded by interrupts_.mutex_
  };

  // Calls the handler. False, and nothing is called, when there is none or it
  // was called before: then the program should end at once.
  bool Raise() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  Handler* handler_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace quantd

#endif  // QUANTD_CLIENT_INTERRUPTS_H_
