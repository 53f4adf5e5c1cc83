#include "runtime/base/thread_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(ThreadPool, SizeIsWhatWasAskedFor) {
  EXPECT_EQ(ThreadPool(1).size(), 1u);
  EXPECT_EQ(ThreadPool(3).size(), 3u);
  EXPECT_GE(ThreadPool().size(), 1u);
}

// Every index exactly once, pieces no longer than the grain: for pools of one to more threads than processors, and
// counts below, at and above multiples of the grain.
TEST(ThreadPool, CoversTheRangeExactlyOnce) {
  for (const size_t threads : {1u, 2u, 5u}) {
    ThreadPool pool(threads);
    for (const size_t count : {0u, 1u, 6u, 7u, 8u, 1000u, 1009u}) {
      for (const size_t grain : {0u, 1u, 7u, 2000u}) {
        std::vector<std::atomic<int>> visits(count);
        std::atomic<size_t> longest{0};
        pool.parallel_for(count, grain, [&](size_t begin, size_t end) {
          size_t seen = longest;
          while (end - begin > seen && !longest.compare_exchange_weak(seen, end - begin)) {
          }
          for (size_t i = begin; i < end; ++i) ++visits.at(i);
        });
        EXPECT_LE(longest, std::max<size_t>(grain, 1)) << threads << " threads, count " << count;
        for (size_t i = 0; i < count; ++i) {
          ASSERT_EQ(visits[i], 1) << "index " << i << " of " << count << ", grain " << grain << ", " << threads
                                  << " threads";
        }
      }
    }
  }
}

TEST(ThreadPool, RethrowsAfterTheOtherPiecesFinished) {
  for (const size_t threads : {2u, 4u}) {
    ThreadPool pool(threads);
    std::atomic<int> finished{0};
    EXPECT_THROW(pool.parallel_for(100, 1,
                                   [&](size_t begin, size_t) {
                                     if (begin == 13) throw std::runtime_error("piece 13");
                                     ++finished;
                                   }),
                 std::runtime_error);
    EXPECT_EQ(finished, 99);
    // The pool is usable afterwards and has forgotten the error.
    std::atomic<int> again{0};
    EXPECT_NO_THROW(pool.parallel_for(50, 1, [&](size_t, size_t) { ++again; }));
    EXPECT_EQ(again, 50);
  }
}

// Loops follow each other without a pause in a decode step; a worker that is late from one loop must not run the body
// of the next with the old bounds, nor touch a body that is gone.
TEST(ThreadPool, ManyShortLoopsInARow) {
  ThreadPool pool(4);
  for (size_t round = 0; round < 3000; ++round) {
    const size_t count = 1 + round % 9;
    std::atomic<size_t> sum{0};
    pool.parallel_for(count, 1, [&, round](size_t begin, size_t) { sum += begin + round; });
    ASSERT_EQ(sum, count * (count - 1) / 2 + count * round) << "round " << round;
  }
}

TEST(ThreadPool, WorkersWakeAfterSleeping) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> done{0};
    pool.parallel_for(64, 1, [&](size_t, size_t) { ++done; });
    EXPECT_EQ(done, 64);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // far longer than workers spin
  }
}

// A limit on memory leaves no room for another stack: the threads that there are do the work.
TEST(ThreadPoolDeathTest, GoesOnWithTheThreadsThatTheSystemGives) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto use_a_pool = [] {
    std::ifstream statm("/proc/self/statm");
    uint64_t pages = 0;
    statm >> pages;
    const rlim_t bytes = pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_AS, &limit);
    ThreadPool pool(500);
    std::atomic<int> done{0};
    pool.parallel_for(1000, 1, [&](size_t, size_t) { ++done; });
    std::_Exit(done == 1000 && pool.size() < 500 ? 0 : 1);
  };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers reserve address space by the terabyte";
#endif
  EXPECT_EXIT(use_a_pool(), ::testing::ExitedWithCode(0), "of 500 threads could be started");
}

// With more threads than processors nobody spins; what that costs depends on the machine, that it works does not.
TEST(ThreadPool, ManyMoreThreadsThanProcessors) {
  ThreadPool pool(64);
  for (int round = 0; round < 50; ++round) {
    std::atomic<size_t> sum{0};
    pool.parallel_for(100, 1, [&](size_t begin, size_t) { sum += begin; });
    ASSERT_EQ(sum, 4950u);
  }
}

}  // namespace
}  // namespace nibble
