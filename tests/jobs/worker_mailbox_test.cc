#include "jobs/worker_mailbox.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(WorkerMailboxTest, MessagesAreTakenOnceAndProgressEveryTime) {
  WorkerMailbox mailbox;
  ProgressUpdate update;
  update.phase = "quantize";
  update.fraction = 0.5;
  mailbox.SetProgress(update);
  mailbox.AddNote("block 1 of 2 written");
  v1::HeartbeatRequest first, second;
  mailbox.Take(&first);
  mailbox.Take(&second);
  EXPECT_THAT(first.notes(), ElementsAre("block 1 of 2 written"));
  EXPECT_THAT(second.notes(), SizeIs(0));
  EXPECT_EQ(second.progress().phase(), "quantize");
}

TEST(WorkerMailboxTest, NothingReportedMeansNoProgress) {
  WorkerMailbox mailbox;
  v1::HeartbeatRequest request;
  mailbox.Take(&request);
  EXPECT_FALSE(request.has_progress());
  EXPECT_FALSE(mailbox.HasMessages());
}

TEST(WorkerMailboxTest, WhatAFailedHeartbeatTookComesAgainInOrder) {
  WorkerMailbox mailbox;
  mailbox.AddWarning("1");
  mailbox.AddWarning("2");
  v1::HeartbeatRequest failed;
  mailbox.Take(&failed);
  mailbox.AddWarning("3");
  mailbox.PutBack(failed);
  v1::HeartbeatRequest request;
  mailbox.Take(&request);
  EXPECT_THAT(request.warnings(), ElementsAre("1", "2", "3"));
}

TEST(WorkerMailboxTest, BytesThatAreNoTextDoNotBreakTheHeartbeat) {
  WorkerMailbox mailbox;
  ProgressUpdate update;
  update.detail = "tensor \xFF";
  mailbox.SetProgress(update);
  mailbox.AddNote("file \xC3\x28");
  v1::HeartbeatRequest request, parsed;
  mailbox.Take(&request);
  ASSERT_TRUE(parsed.ParseFromString(request.SerializeAsString()));
  EXPECT_EQ(parsed.progress().detail(), "tensor \\xff");
  EXPECT_THAT(parsed.notes(), ElementsAre("file \\xc3("));
}

TEST(WorkerMailboxTest, OneHeartbeatCarriesABoundedNumber) {
  WorkerMailbox mailbox;
  for (int i = 0; i < WorkerMailbox::kBatch + 1; ++i) mailbox.AddNote("n");
  v1::HeartbeatRequest request;
  mailbox.Take(&request);
  EXPECT_THAT(request.notes(), SizeIs(WorkerMailbox::kBatch));
  EXPECT_TRUE(mailbox.HasMessages());
}

TEST(WorkerMailboxTest, AFloodOfMessagesEndsInOneWarning) {
  WorkerMailbox mailbox;
  for (int i = 0; i < WorkerMailbox::kMaxMessages + 500; ++i) {
    mailbox.AddNote("n");
  }
  int notes = 0;
  std::vector<std::string> warnings;
  while (mailbox.HasMessages()) {
    v1::HeartbeatRequest request;
    mailbox.Take(&request);
    notes += request.notes_size();
    warnings.insert(warnings.end(), request.warnings().begin(),
                    request.warnings().end());
  }
  EXPECT_EQ(notes, WorkerMailbox::kMaxMessages);
  EXPECT_THAT(warnings, SizeIs(1));
}

}  // namespace
}  // namespace quantd
