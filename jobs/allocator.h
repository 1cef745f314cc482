// The C library's allocator, told that a worker's large buffers come and go:
// what is freed goes back to the system at once, so that the memory of a job is
// what it uses now and not the sum of what it ever used.
#ifndef QUANTD_JOBS_ALLOCATOR_H_
#define QUANTD_JOBS_ALLOCATOR_H_

namespace quantd {

// Called once, before large allocations. No effect where the allocator is
// another one (sanitizers).
void ReturnFreedMemoryAtOnce();

// Gives back what small allocations have left behind: after a phase that made
// many, such as parsing a tokenizer.
void TrimFreedMemory();

}  // namespace quantd

#endif  // QUANTD_JOBS_ALLOCATOR_H_
