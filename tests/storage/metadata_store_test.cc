#include "storage/metadata_store.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "quantd/v1/job.pb.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Store = std::unique_ptr<MetadataStore>;

absl::StatusOr<Store> OpenStore(const std::string& directory) {
  MetadataStore::Options options;
  options.directory = directory;
  return MetadataStore::Open(std::move(options));
}

absl::Status PutOne(MetadataStore& store, Table table, const std::string& key,
                    const std::string& value) {
  MetadataBatch batch;
  batch.PutBytes(table, key, value);
  return store.Commit(batch);
}

std::vector<std::string> KeysUp(const MetadataStore& store, Table table,
                                const std::string& prefix,
                                const std::string& after, size_t limit = 100) {
  std::vector<std::string> keys;
  EXPECT_THAT(store.Scan(table, prefix, after,
                         [&](absl::string_view key, absl::string_view) {
                           keys.emplace_back(key);
                           return keys.size() < limit;
                         }),
              IsOk());
  return keys;
}

std::vector<std::string> KeysDown(const MetadataStore& store, Table table,
                                  const std::string& before,
                                  size_t limit = 100) {
  std::vector<std::string> keys;
  EXPECT_THAT(store.ScanDown(table, before,
                             [&](absl::string_view key, absl::string_view) {
                               keys.emplace_back(key);
                               return keys.size() < limit;
                             }),
              IsOk());
  return keys;
}

TEST(MetadataStoreTest, ARecordReadsBackAsWritten) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.File("store")));
  v1::Job job;
  job.set_name("jobs/a");
  job.set_attempt(3);
  MetadataBatch batch;
  batch.Put(Table::kJobs, "a", job);
  ASSERT_THAT(store->Commit(batch), IsOk());
  v1::Job read;
  ASSERT_THAT(store->Get(Table::kJobs, "a", &read), IsOk());
  EXPECT_EQ(read.SerializeAsString(), job.SerializeAsString());
}

TEST(MetadataStoreTest, AnAbsentRecordIsNotFoundAndNamesTableAndKey) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  v1::Job job;
  EXPECT_THAT(store->Get(Table::kJobs, "nobody", &job),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("jobs"), HasSubstr("nobody"))));
}

TEST(MetadataStoreTest, ARecordOfAnotherTypeIsDataLoss) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  ASSERT_THAT(PutOne(*store, Table::kJobs, "a", "\xff\xff\xff"), IsOk());
  v1::Job job;
  EXPECT_THAT(store->Get(Table::kJobs, "a", &job),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("jobs/a")));
}

TEST(MetadataStoreTest, TablesDoNotSeeEachOther) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  ASSERT_THAT(PutOne(*store, Table::kModels, "x", "model"), IsOk());
  EXPECT_THAT(store->GetBytes(Table::kDatasets, "x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("datasets")));
}

TEST(MetadataStoreTest, ScanVisitsAPrefixUpwardsAfterAKey) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  for (const char* key : {"a/1", "b/1", "b/2", "b/3", "c/1"}) {
    ASSERT_THAT(PutOne(*store, Table::kJobEvents, key, ""), IsOk());
  }
  EXPECT_THAT(KeysUp(*store, Table::kJobEvents, "b/", ""),
              ElementsAre("b/1", "b/2", "b/3"));
  EXPECT_THAT(KeysUp(*store, Table::kJobEvents, "b/", "b/1"),
              ElementsAre("b/2", "b/3"));
  EXPECT_THAT(KeysUp(*store, Table::kJobEvents, "b/", "a/9"),
              ElementsAre("b/1", "b/2", "b/3"));
  EXPECT_THAT(KeysUp(*store, Table::kJobEvents, "b/", "b/3"), IsEmpty());
  EXPECT_THAT(KeysUp(*store, Table::kJobEvents, "", "", 2),
              ElementsAre("a/1", "b/1"));
}

TEST(MetadataStoreTest, ScanDownVisitsFromTheLastKeyOrBelowAKey) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  for (const char* key : {"a", "b", "c", "d"}) {
    ASSERT_THAT(PutOne(*store, Table::kJobs, key, ""), IsOk());
  }
  EXPECT_THAT(KeysDown(*store, Table::kJobs, ""),
              ElementsAre("d", "c", "b", "a"));
  EXPECT_THAT(KeysDown(*store, Table::kJobs, "c"), ElementsAre("b", "a"));
  EXPECT_THAT(KeysDown(*store, Table::kJobs, "bb", 1), ElementsAre("b"));
  EXPECT_THAT(KeysDown(*store, Table::kJobs, "a"), IsEmpty());
}

TEST(MetadataStoreTest, AScanDoesNotSeeCommitsMadeDuringIt) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  ASSERT_THAT(PutOne(*store, Table::kJobs, "a", ""), IsOk());
  int visited = 0;
  ASSERT_THAT(store->Scan(Table::kJobs, "", "",
                          [&](absl::string_view, absl::string_view) {
                            ++visited;
                            EXPECT_THAT(PutOne(*store, Table::kJobs, "b", ""),
                                        IsOk());
                            return true;
                          }),
              IsOk());
  EXPECT_EQ(visited, 1);
  EXPECT_THAT(KeysUp(*store, Table::kJobs, "", ""), ElementsAre("a", "b"));
}

TEST(MetadataStoreTest, ABatchAppliesInOrderAcrossTables) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  MetadataBatch batch;
  EXPECT_TRUE(batch.empty());
  batch.PutBytes(Table::kModels, "m", "1");
  batch.PutBytes(Table::kDatasets, "d", "1");
  batch.PutBytes(Table::kModels, "m", "2");
  batch.Delete(Table::kDatasets, "d");
  ASSERT_THAT(store->Commit(batch), IsOk());
  EXPECT_THAT(*store->GetBytes(Table::kModels, "m"), "2");
  EXPECT_THAT(store->GetBytes(Table::kDatasets, "d"),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

TEST(MetadataStoreTest, ReadersSeeAllOrNothingOfABatch) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  constexpr int kKeys = 8;
  constexpr int kCommits = 50;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < kCommits; ++i) {
      MetadataBatch batch;
      for (int k = 0; k < kKeys; ++k) {
        batch.PutBytes(Table::kJobs, absl::StrCat(k), absl::StrCat(i));
      }
      EXPECT_THAT(store->Commit(batch), IsOk());
    }
    done = true;
  });
  while (!done) {
    std::set<std::string> values;
    int count = 0;
    ASSERT_THAT(store->Scan(Table::kJobs, "", "",
                            [&](absl::string_view, absl::string_view value) {
                              values.emplace(value);
                              ++count;
                              return true;
                            }),
                IsOk());
    EXPECT_TRUE(count == 0 || count == kKeys) << count;
    EXPECT_LE(values.size(), 1u);
  }
  writer.join();
}

TEST(MetadataStoreTest, RecordsUuidAndSequenceSurviveReopening) {
  TempDir directory;
  std::string uuid;
  {
    ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
    uuid = store->uuid();
    EXPECT_EQ(uuid.size(), 36u);
    ASSERT_THAT(PutOne(*store, Table::kJobs, "a", "kept"), IsOk());
    for (int i = 0; i < 3; ++i) {
      ASSERT_THAT(PutOne(*store, Table::kEvents,
                         EventKey(store->NextSequence()), "event"),
                  IsOk());
    }
    EXPECT_EQ(store->last_sequence(), 3u);
  }
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  EXPECT_EQ(store->uuid(), uuid);
  EXPECT_EQ(*store->GetBytes(Table::kJobs, "a"), "kept");
  EXPECT_EQ(store->last_sequence(), 3u);
  EXPECT_EQ(store->NextSequence(), 4u);
}

TEST(MetadataStoreTest, TheNumberOfADeletedEventIsNotReused) {
  TempDir directory;
  {
    ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
    const std::string key = EventKey(store->NextSequence());
    ASSERT_THAT(PutOne(*store, Table::kEvents, key, "event"), IsOk());
    MetadataBatch batch;
    batch.Delete(Table::kEvents, key);
    ASSERT_THAT(store->Commit(batch), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  EXPECT_EQ(store->NextSequence(), 2u);
}

TEST(MetadataStoreTest, EventsCommittedOutOfOrderKeepTheHighestNumber) {
  TempDir directory;
  {
    ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
    const uint64_t first = store->NextSequence();
    const uint64_t second = store->NextSequence();
    ASSERT_THAT(PutOne(*store, Table::kEvents, EventKey(second), ""), IsOk());
    ASSERT_THAT(PutOne(*store, Table::kEvents, EventKey(first), ""), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  EXPECT_EQ(store->last_sequence(), 2u);
}

TEST(MetadataStoreTest, EventKeysSortByNumber) {
  EXPECT_EQ(EventKey(1), "0000000000000001");
  EXPECT_LT(EventKey(9), EventKey(10));
  EXPECT_LT(EventKey(0xff), EventKey(UINT64_MAX));
}

TEST(MetadataStoreTest, ASecondOpenerIsRefusedByName) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  EXPECT_THAT(
      OpenStore(directory.path()),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr(directory.path()), HasSubstr("another quantd"),
                     HasSubstr(absl::StrCat(::getpid())))));
}

TEST(MetadataStoreTest, AClosedStoreCanBeOpenedAgain) {
  TempDir directory;
  { ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path())); }
  EXPECT_THAT(OpenStore(directory.path()), IsOk());
}

TEST(MetadataStoreTest, ANewerSchemaIsRefused) {
  TempDir directory;
  {
    ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
    ASSERT_THAT(PutOne(*store, Table::kMeta, "schema_version", "2"), IsOk());
  }
  EXPECT_THAT(OpenStore(directory.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(directory.path()), HasSubstr("newer"),
                             HasSubstr("schema 2"))));
}

TEST(MetadataStoreTest, ABrokenSchemaVersionIsDataLoss) {
  TempDir directory;
  {
    ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
    ASSERT_THAT(PutOne(*store, Table::kMeta, "schema_version", "one"), IsOk());
  }
  EXPECT_THAT(OpenStore(directory.path()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("one")));
}

TEST(MetadataStoreTest, APathBelowAFileCannotBeAStore) {
  TempDir directory;
  { ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path())); }
  EXPECT_THAT(OpenStore(directory.File("LOCK/store")).status(),
              ::testing::Not(IsOk()));
}

TEST(MetadataStoreTest, ConcurrentCommittersAllBecomeDurable) {
  TempDir directory;
  constexpr int kThreads = 16;
  constexpr int kCommits = 20;
  absl::Mutex mutex;
  std::set<uint64_t> sequences;
  std::atomic<int> observed{0};
  {
    ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
    store->set_commit_observer([&](double seconds) {
      EXPECT_GE(seconds, 0);
      ++observed;
    });
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kCommits; ++i) {
          const uint64_t sequence = store->NextSequence();
          MetadataBatch batch;
          batch.PutBytes(Table::kJobs, absl::StrCat(t, "-", i), "job");
          batch.PutBytes(Table::kEvents, EventKey(sequence), "event");
          EXPECT_THAT(store->Commit(batch), IsOk());
          absl::MutexLock lock(&mutex);
          sequences.insert(sequence);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(store->size_bytes(), 0u);
  }
  EXPECT_EQ(observed, kThreads * kCommits);
  EXPECT_EQ(sequences.size(), size_t{kThreads * kCommits});
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  EXPECT_EQ(KeysUp(*store, Table::kJobs, "", "", 10000).size(),
            size_t{kThreads * kCommits});
  EXPECT_EQ(KeysUp(*store, Table::kEvents, "", "", 10000).size(),
            size_t{kThreads * kCommits});
  EXPECT_EQ(store->last_sequence(), uint64_t{kThreads * kCommits});
}

TEST(MetadataStoreTest, LogLinesOfTheDatabaseReachTheSinkAndNoFile) {
  TempDir directory;
  std::atomic<int> lines{0};
  MetadataStore::Options options;
  options.directory = directory.path();
  options.log = [&](int level, absl::string_view line) {
    EXPECT_GE(level, 0);
    EXPECT_LE(level, 4);
    if (!line.empty()) ++lines;
  };
  { ASSERT_OK_AND_ASSIGN(const Store store, MetadataStore::Open(options)); }
  EXPECT_GT(lines, 0);
  EXPECT_FALSE(std::filesystem::exists(directory.File("rocksdb/LOG")));
}

TEST(MetadataStoreTest, AnEmptyBatchIsFine) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const Store store, OpenStore(directory.path()));
  EXPECT_THAT(store->Commit(MetadataBatch()), IsOk());
  EXPECT_THAT(store->health(), IsOk());
}

}  // namespace
}  // namespace quantd::test
