#include "runtime/base/cgroup.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "runtime/base/processors.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kV1Mounts =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
constexpr std::string_view kV2Mounts =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

std::vector<std::string> paths_of(const std::vector<CgroupFolder>& folders) {
  std::vector<std::string> paths;
  for (const CgroupFolder& folder : folders) paths.push_back(folder.path.string());
  return paths;
}

TEST(Cgroup, FindsEveryGroupFromTheProcessUpToTheMount) {
  const auto v1 = cgroup_folders("4:memory:/other\n3:cpu,cpuacct:/docker/a1\n", kV1Mounts, "cpu");
  EXPECT_EQ(paths_of(v1),
            (std::vector<std::string>{"/sys/fs/cgroup/cpu,cpuacct/docker/a1", "/sys/fs/cgroup/cpu,cpuacct/docker",
                                      "/sys/fs/cgroup/cpu,cpuacct"}));
  EXPECT_FALSE(v1.front().is_unified);
  const auto v2 = cgroup_folders("0::/user.slice/run-7.scope\n", kV2Mounts, "memory");
  EXPECT_EQ(paths_of(v2), (std::vector<std::string>{"/sys/fs/cgroup/user.slice/run-7.scope",
                                                    "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"}));
  EXPECT_TRUE(v2.front().is_unified);
}

TEST(Cgroup, AHybridHasTheControllerInOneVersionOnly) {
  const std::string mounts = std::string(kV1Mounts) + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  const auto folders = cgroup_folders("3:cpu,cpuacct:/\n0::/init\n", mounts, "cpu");
  EXPECT_EQ(paths_of(folders), (std::vector<std::string>{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/unified/init",
                                                         "/sys/fs/cgroup/unified"}));
}

// Docker with version 1 tells the path of the host and mounts the group alone; a cgroup namespace tells "/.." paths.
TEST(Cgroup, InAContainerTheMountIsTheGroup) {
  const std::string_view mounts =
      "50 40 0:32 /docker/a1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
      "51 40 0:26 /../../x /with\\040space ro - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(paths_of(cgroup_folders("4:memory:/docker/a1\n", mounts, "memory")),
            std::vector<std::string>{"/sys/fs/cgroup/memory"});
  EXPECT_EQ(paths_of(cgroup_folders("4:memory:/docker/a1/deep\n", mounts, "memory")),
            (std::vector<std::string>{"/sys/fs/cgroup/memory/deep", "/sys/fs/cgroup/memory"}));
  EXPECT_EQ(paths_of(cgroup_folders("4:memory:/docker/a10\n", mounts, "memory")),
            std::vector<std::string>{"/sys/fs/cgroup/memory"});
  EXPECT_EQ(paths_of(cgroup_folders("0::/..\n", mounts, "cpu")), std::vector<std::string>{"/with space"});
}

TEST(Cgroup, TextsThatAreNoneGiveNoFolders) {
  for (const std::string_view text : {"", "\n\n", "nonsense", "1:2", "::::", "0::"}) {
    EXPECT_TRUE(cgroup_folders(text, text, "cpu").empty()) << text;
    EXPECT_LE(cgroup_folders(text, kV2Mounts, "cpu").size(), 1u) << text;
  }
}

TEST(Cgroup, ReadsQuotas) {
  EXPECT_EQ(parse_cpu_max("200000 100000\n"), 2.0);
  EXPECT_EQ(parse_cpu_max("150000 100000"), 1.5);
  for (const char* none : {"max 100000\n", "", "100000", "0 100000", "100000 0", "1 2 3", "a b"}) {
    EXPECT_EQ(parse_cpu_max(none), std::nullopt) << none;
  }
  EXPECT_EQ(parse_cfs_quota("50000\n", "100000\n"), 0.5);
  EXPECT_EQ(parse_cfs_quota("-1\n", "100000\n"), std::nullopt);
}

TEST(Cgroup, ReadsMemoryLimits) {
  EXPECT_EQ(parse_memory_limit("1073741824\n"), 1u << 30);
  for (const char* none : {"max\n", "", "9223372036854771712\n", "99999999999999999999999", "-1", "12 KiB"}) {
    EXPECT_EQ(parse_memory_limit(none), std::nullopt) << none;
  }
}

// A tree as /proc and /sys show it, below another root.
class CgroupTree : public ::testing::Test {
 protected:
  void write(const std::string& path, std::string_view text) const {
    const fs::path file = fs::path(root_.path()) / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  TempDirectory root_;
};

TEST_F(CgroupTree, TheSmallestLimitOnTheWayUpCounts) {
  write("proc/self/cgroup", "0::/pod/app\n");
  write("proc/self/mountinfo", kV2Mounts);
  write("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/pod/cpu.max", "300000 100000\n");
  write("sys/fs/cgroup/pod/app/memory.max", "4000\n");
  write("sys/fs/cgroup/pod/app/memory.current", "1500\n");
  write("sys/fs/cgroup/pod/app/memory.stat", "anon 500\ninactive_file 700\nactive_file 300\n");
  write("sys/fs/cgroup/pod/memory.max", "5000\n");
  write("sys/fs/cgroup/pod/memory.current", "4900\n");
  const CgroupLimits limits = read_cgroup_limits(root_.path());
  EXPECT_EQ(limits.processors, 3.0);
  EXPECT_EQ(limits.memory_bytes, 4000u);
  EXPECT_EQ(limits.memory_available, 100u) << "the outer group is nearly full";
}

TEST_F(CgroupTree, VersionOneAndWhatIsMissing) {
  write("proc/self/cgroup", "3:cpu,cpuacct:/a\n4:memory:/a\n");
  write("proc/self/mountinfo", kV1Mounts);
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "10000\n");
  const CgroupLimits limits = read_cgroup_limits(root_.path());
  EXPECT_EQ(limits.processors, 0.5);
  EXPECT_EQ(limits.memory_bytes, 9000u);
  EXPECT_EQ(limits.memory_available, 0u);
  const TempDirectory empty;
  EXPECT_EQ(read_cgroup_limits(empty.path()).processors, std::nullopt);
  EXPECT_EQ(read_cgroup_limits(empty.path()).memory_bytes, std::nullopt);
}

TEST(Processors, TheSmallestOfMachineAffinityAndQuotaCounts) {
  EXPECT_EQ(describe(combine_processors(64, 64, std::nullopt)), "64 processors");
  EXPECT_EQ(describe(combine_processors(64, 64, 2.0)), "2 of 64 processors: cgroup quota");
  EXPECT_EQ(describe(combine_processors(64, 3, 16.0)), "3 of 64 processors: affinity or cpuset");
  EXPECT_EQ(describe(combine_processors(64, 3, 1.5)), "2 of 64 processors: cgroup quota");
  EXPECT_EQ(combine_processors(64, 64, 0.25).usable, 1u);
  EXPECT_EQ(combine_processors(2, 2, 100.0).usable, 2u);
  EXPECT_EQ(combine_processors(0, 0, std::nullopt).usable, 1u);
}

}  // namespace
}  // namespace nibble
