// Tells ThreadSanitizer what gRPC orders on the server's side:
//
// * What a thread did before it started an operation of a call comes before
//   the callback that tells of its end, on whichever thread that runs.
// * All callbacks of a call come before its last one, OnDone().
// * Every call counts as a reference to its server, given back after the last
//   callback of the call, and Shutdown() and Wait() return when none is left:
//   what callbacks did comes before what follows.
//
// Queues and counts are atomics inside Debian's library, where the sanitizer
// cannot see them. The functions below take the place of the library's (see
// abseil_tsan.cc).
//
// Linked into every executable of the tsan preset and into no other.
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#define QUANTD_SERVER_UNREF "_ZN4grpc6Server23UnrefWithPossibleNotifyEv"
#define QUANTD_SERVER_WAIT "_ZN4grpc6Server18UnrefAndWaitLockedEv"

// What gRPC's headers have the library call when an operation of the callback
// interface has ended.
void RunCallback(grpc_completion_queue_functor* tag, int ok) asm(
    "_ZN4grpc8internal22CallbackWithSuccessTag9StaticRunEP29grpc_completion_"
    "queue_functori") __attribute__((weak));

// A member of grpc::internal::ServerCallbackCall: called once, by whichever
// callback of a call was the last.
#define QUANTD_LAST_CALLBACK \
  "_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb"
void ScheduleOnDone(void* call, bool inline_ondone) asm(QUANTD_LAST_CALLBACK);

// Private members of grpc::Server.
void UnrefWithPossibleNotify(void* server) asm(QUANTD_SERVER_UNREF);
void UnrefAndWaitLocked(void* server) asm(QUANTD_SERVER_WAIT);

namespace {

using Member = void (*)(void*);
using StartBatch = grpc_call_error (*)(grpc_call*, const grpc_op*, size_t,
                                       void*, void*);

template <typename Function>
Function Next(const char* symbol) {
  void* const found = ::dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) {
    std::fprintf(stderr, "grpc_tsan: this gRPC has no %s\n", symbol);
    std::abort();
  }
  return reinterpret_cast<Function>(found);
}

void RunOrderedCallback(grpc_completion_queue_functor* tag, int ok) {
  __tsan_acquire(tag);
  RunCallback(tag, ok);
}

}  // namespace

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops,
                                      size_t nops, void* tag, void* reserved) {
  static const StartBatch next = Next<StartBatch>("grpc_call_start_batch");
  // Tags of queues without callbacks are other objects, whose first word is
  // another address.
  auto* const functor = static_cast<grpc_completion_queue_functor*>(tag);
  if (RunCallback != nullptr && functor->functor_run == RunCallback) {
    functor->functor_run = &RunOrderedCallback;
  }
  __tsan_release(tag);
  return next(call, ops, nops, tag, reserved);
}

void ScheduleOnDone(void* call, bool inline_ondone) {
  using Schedule = void (*)(void*, bool);
  static const Schedule next = Next<Schedule>(QUANTD_LAST_CALLBACK);
  // The count of callbacks is the class's second member after its table of
  // virtual functions, both of four bytes; those that are instrumented have
  // counted down there.
  char* const count = static_cast<char*>(call) + sizeof(void*) + sizeof(int);
  __tsan_acquire(count);
  next(call, inline_ondone);
}

void UnrefWithPossibleNotify(void* server) {
  static const Member next = Next<Member>(QUANTD_SERVER_UNREF);
  __tsan_release(server);
  next(server);
}

void UnrefAndWaitLocked(void* server) {
  static const Member next = Next<Member>(QUANTD_SERVER_WAIT);
  __tsan_release(server);
  next(server);
  __tsan_acquire(server);
}
