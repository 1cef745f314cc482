#include "client/interrupts.h"

#include "gtest/gtest.h"

namespace quantd::test {
namespace {

TEST(InterruptsTest, WithoutHandlerTheProgramShouldEnd) {
  Interrupts interrupts;
  EXPECT_FALSE(interrupts.Raise());
}

TEST(InterruptsTest, HandlerIsCalledOnceAndTheSecondTimeEndsTheProgram) {
  Interrupts interrupts;
  int calls = 0;
  Interrupts::Handler handler(interrupts, [&] { ++calls; });
  EXPECT_FALSE(handler.interrupted());
  EXPECT_TRUE(interrupts.Raise());
  EXPECT_TRUE(handler.interrupted());
  EXPECT_FALSE(interrupts.Raise());
  EXPECT_EQ(calls, 1);
}

TEST(InterruptsTest, DestroyedHandlerIsNotCalled) {
  Interrupts interrupts;
  int calls = 0;
  {
    Interrupts::Handler handler(interrupts, [&] { ++calls; });
  }
  EXPECT_FALSE(interrupts.Raise());
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace quantd::test
