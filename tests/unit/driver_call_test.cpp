#include "runtime/base/driver_call.h"

#include <barrier>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace nibble {
namespace {

std::string current() { return DriverCall::current() == nullptr ? "nothing" : DriverCall::current(); }

TEST(DriverCall, TheInnermostCounts) {
  EXPECT_EQ(current(), "nothing");
  {
    const DriverCall outer("outer");
    EXPECT_EQ(current(), "outer");
    {
      const DriverCall inner("inner");
      EXPECT_EQ(current(), "inner");
    }
    EXPECT_EQ(current(), "outer");
  }
  EXPECT_EQ(current(), "nothing");
}

// A crash on a thread of a driver's own is told by what the first thread does.
TEST(DriverCall, EachThreadHasItsOwn) {
  std::barrier turn(2);
  const auto other = [&] {
    turn.arrive_and_wait();  // the first has entered
    EXPECT_EQ(current(), "first");
    const DriverCall call("second");
    EXPECT_EQ(current(), "second");
    turn.arrive_and_wait();
    turn.arrive_and_wait();  // the first has left
    EXPECT_EQ(current(), "second");
  };
  std::jthread thread(other);
  {
    const DriverCall call("first");
    turn.arrive_and_wait();
    turn.arrive_and_wait();  // the second has entered
    EXPECT_EQ(current(), "first");
  }
  EXPECT_EQ(current(), "nothing");
  turn.arrive_and_wait();
}

}  // namespace
}  // namespace nibble
