// Keeps ThreadSanitizer out of RocksDB's writes.
//
// Threads that commit at the same time put their batches together in a
// lock-free list, and one of them writes them all into a lock-free table. The
// sanitizer cannot see that order in Debian's library, which is built without
// it; but it sees the memory that the library copies, and would report every
// such write. The function below takes the place of the library's (see
// abseil_tsan.cc) and has the calling thread's accesses ignored while it is in
// there. What quantd does before and after is watched as ever.
//
// Linked into every executable of the tsan preset and into no other.
#include <dlfcn.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>
#include <rocksdb/write_batch.h>

#include <cstdio>
#include <cstdlib>

extern "C" {
// Exported by the sanitizer's runtime, declared by none of its headers.
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}

#define QUANTD_ROCKSDB_WRITE \
  "_ZN7rocksdb6DBImpl5WriteERKNS_12WriteOptionsEPNS_10WriteBatchE"

// rocksdb::DBImpl::Write(), whose class no public header has.
rocksdb::Status WriteUnwatched(
    void* database, const rocksdb::WriteOptions& options,
    rocksdb::WriteBatch* batch) asm(QUANTD_ROCKSDB_WRITE);

rocksdb::Status WriteUnwatched(void* database,
                               const rocksdb::WriteOptions& options,
                               rocksdb::WriteBatch* batch) {
  using Write = rocksdb::Status (*)(void*, const rocksdb::WriteOptions&,
                                    rocksdb::WriteBatch*);
  static const auto next =
      reinterpret_cast<Write>(::dlsym(RTLD_NEXT, QUANTD_ROCKSDB_WRITE));
  if (next == nullptr) {
    std::fprintf(stderr, "rocksdb_tsan: this RocksDB has no DBImpl::Write\n");
    std::abort();
  }
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  rocksdb::Status status = next(database, options, batch);
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return status;
}
