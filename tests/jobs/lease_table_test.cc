#include "jobs/lease_table.h"

#include "gtest/gtest.h"

namespace quantd {
namespace {

TEST(LeaseTableTest, ALeaseExpiresAfterItsDeadlineAndOnce) {
  LeaseTable leases;
  leases.Grant("a", 2, absl::Seconds(10));
  EXPECT_TRUE(leases.TakeExpired(absl::Seconds(10)).empty());
  const auto expired = leases.TakeExpired(absl::Seconds(11));
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].job_id, "a");
  EXPECT_EQ(expired[0].attempt, 2u);
  EXPECT_TRUE(leases.TakeExpired(absl::Seconds(12)).empty());
}

TEST(LeaseTableTest, RenewingMovesTheDeadline) {
  LeaseTable leases;
  leases.Grant("a", 1, absl::Seconds(10));
  leases.Renew("a", absl::Seconds(20));
  EXPECT_TRUE(leases.TakeExpired(absl::Seconds(15)).empty());
  EXPECT_EQ(leases.TakeExpired(absl::Seconds(21)).size(), 1u);
}

TEST(LeaseTableTest, ASuspendedLeaseStandsStillUntilItIsRenewed) {
  LeaseTable leases;
  leases.Grant("a", 1, absl::Seconds(10));
  leases.Suspend("a");
  EXPECT_TRUE(leases.TakeExpired(absl::Hours(1000)).empty());
  leases.Renew("a", absl::Seconds(30));
  EXPECT_EQ(leases.TakeExpired(absl::Seconds(31)).size(), 1u);
}

TEST(LeaseTableTest, RenewingADroppedLeaseDoesNothing) {
  LeaseTable leases;
  leases.Grant("a", 1, absl::Seconds(10));
  leases.Drop("a");
  leases.Drop("a");
  leases.Renew("a", absl::Seconds(20));
  EXPECT_EQ(leases.size(), 0u);
}

}  // namespace
}  // namespace quantd
