#include "runtime/core/device_info.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace nibble {
namespace {

TEST(Capabilities, HaveDistinctNamesThatLeadBack) {
  std::set<std::string_view> names;
  for (uint32_t i = 0; i < static_cast<uint32_t>(Capability::kCount); ++i) {
    const auto capability = static_cast<Capability>(i);
    EXPECT_FALSE(name_of(capability).empty()) << "capability " << i;
    EXPECT_TRUE(names.insert(name_of(capability)).second) << name_of(capability);
    EXPECT_EQ(capability_from_name(name_of(capability)), capability);
  }
  expect_error([] { capability_from_name("warp"); }, "unknown capability 'warp'", "subgroups");
}

TEST(Capabilities, SetsCoverWhatTheyHold) {
  CapabilitySet set = {Capability::kInt8Dot, Capability::kHostImport};
  EXPECT_TRUE(set.covers({}));
  EXPECT_TRUE(set.covers({Capability::kInt8Dot}));
  EXPECT_FALSE(set.covers({Capability::kInt8Dot, Capability::kSubgroups}));
  set.add(Capability::kSubgroups);
  EXPECT_TRUE(set.covers({Capability::kInt8Dot, Capability::kSubgroups}));
  set.remove(Capability::kInt8Dot);
  EXPECT_FALSE(set.has(Capability::kInt8Dot));
  EXPECT_TRUE(set.has(Capability::kHostImport));
}

TEST(Bytes, AreReadWithAndWithoutUnits) {
  EXPECT_EQ(parse_bytes("4096", "x"), 4096u);
  EXPECT_EQ(parse_bytes("7B", "x"), 7u);
  EXPECT_EQ(parse_bytes("512KiB", "x"), 512u << 10);
  EXPECT_EQ(parse_bytes("64mib", "x"), 64u << 20);
  EXPECT_EQ(parse_bytes("1 GiB", "x"), 1u << 30);
  EXPECT_EQ(parse_bytes("2TiB", "x"), 2ull << 40);
  EXPECT_EQ(parse_bytes("0", "x"), 0u);
  EXPECT_EQ(parse_bytes("24GB", "x"), 24'000'000'000u);
  EXPECT_EQ(parse_bytes("24gb", "x"), 24'000'000'000u);
  EXPECT_EQ(parse_bytes(" 24 GB ", "x"), 24'000'000'000u);
  EXPECT_EQ(parse_bytes("1.5GiB", "x"), 3ull << 29);
  EXPECT_EQ(parse_bytes("0.25 kB", "x"), 250u);
  EXPECT_EQ(parse_bytes("512M", "x"), 512u << 20);
  EXPECT_EQ(parse_bytes("1T", "x"), 1ull << 40);
  EXPECT_EQ(parse_bytes("2TB", "x"), 2'000'000'000'000u);
  EXPECT_EQ(parse_bytes("18446744073709551615", "x"), UINT64_MAX);
  for (const std::string_view bad :
       {"", "MiB", "-1", "-24GB", "1.5", "1.", ".GiB", "1.2.3GiB", "1,5GiB", "1e9", "+1", "GB24", "nan", "1 XiB",
        "1MiB2", "0x10", "99999999999999999999", "17179869184GiB" /* 2^64 */}) {
    expect_error([&] { parse_bytes(bad, "--cache"); }, "--cache", "'" + std::string(bad) + "'");
  }
}

TEST(Bytes, AreWrittenInTheLargestUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(3ull << 29), "1.50 GiB");
  EXPECT_EQ(format_bytes(20ull << 30), "20.0 GiB");
}

TEST(Limits, AreLoweredAndNeverRaised) {
  DeviceInfo info;
  info.limits.max_range = 1000;
  info.limits.max_storage_bindings = 16;
  apply_limit(info, "max_range=512");
  EXPECT_EQ(info.limits.max_range, 512u);
  apply_limit(info, "max_range=1MiB");
  EXPECT_EQ(info.limits.max_range, 512u);
  apply_limit(info, "max_storage_bindings=8");
  EXPECT_EQ(info.limits.max_storage_bindings, 8u);
  apply_limit(info, "max_storage_bindings=8GiB");
  EXPECT_EQ(info.limits.max_storage_bindings, 8u) << "a value above 32 bits must not wrap";
}

TEST(Limits, MistakesAreNamed) {
  DeviceInfo info;
  expect_error([&] { apply_limit(info, "max_rang=5"); }, "unknown limit 'max_rang'", "max_range");
  expect_error([&] { apply_limit(info, "max_range"); }, "expected max_range=VALUE");
  expect_error([&] { apply_limit(info, "max_range="); }, "--limit max_range");
  expect_error([&] { apply_limit(info, "max_range=0"); }, "greater than 0");
}

}  // namespace
}  // namespace nibble
