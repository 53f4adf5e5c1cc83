#include "runtime/base/host_memory.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(HostMemory, ReadsMemAvailable) {
  EXPECT_EQ(parse_available_memory("MemTotal:  100 kB\nMemFree: 5 kB\nMemAvailable:   12345 kB\nBuffers: 7 kB\n"),
            12345u * 1024u);
}

TEST(HostMemory, SaysZeroWhenTheSystemDoesNotTell) {
  EXPECT_EQ(parse_available_memory(""), 0u);
  EXPECT_EQ(parse_available_memory("MemTotal: 100 kB\n"), 0u);
  EXPECT_EQ(parse_available_memory("MemAvailable:"), 0u);
  EXPECT_EQ(parse_available_memory("MemAvailable: many"), 0u);
}

TEST(HostMemory, ThisHostHasSome) { EXPECT_GT(available_host_memory(), 0u); }

}  // namespace
}  // namespace nibble
