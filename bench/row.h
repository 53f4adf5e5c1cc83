// Row: one measured line of any `nibble bench`, and the JSON it is kept in (docs/measuring.md lists the keys).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/statistics.h"
#include "runtime/core/device_info.h"

namespace nibble::bench {

// A ratio that was taken pair by pair.
struct Ratio {
  double median = 0;
  double min = 0;
  double max = 0;
};
Ratio ratio_of(const std::vector<double>& pairs);

struct Row {
  std::string device;    // DeviceInfo::name
  std::string driver;    // name and version
  std::string kernel;    // "moe_up_fp4_f32", "moe block", "read"
  std::string variant;   // of the kernel; several are joined by '+'
  std::string shape;     // "rows=2048,cols=4096"
  std::string data;      // "cold": from DRAM, "warm": the same data again and again, "" where it makes no difference
  std::string numerics;  // "" where there is but one
  uint32_t tokens = 0;
  Summary seconds;            // submit to wait, every repetition
  double net_seconds = 0;     // its median minus that of an empty dispatch
  double device_seconds = 0;  // median by the device's timestamps; 0 where there are none
  uint64_t bytes = 0;
  uint64_t flops = 0;
  std::string ceiling;                  // what binds: "read", "f32", "bf16", "int8"; "" where there is none
  double ceiling_value = 0;             // median of its samples, GB/s or GFLOP/s
  Ratio share;                          // of the ceiling that binds
  std::map<std::string, Ratio> ratios;  // further paired ratios: "share_read", "t_mem", "t_f32", …

  double gbps() const { return seconds.median == 0 ? 0 : static_cast<double>(bytes) / seconds.median / 1e9; }
  double gflops() const { return seconds.median == 0 ? 0 : static_cast<double>(flops) / seconds.median / 1e9; }
  bool ceiling_suspect() const { return share.median > kSuspectShare; }
  // What makes two rows comparable; the device is left out, so that machines and versions can be compared.
  std::string key() const;

  static constexpr double kSuspectShare = 1.05;
};

// "llvmpipe 22.3.6"
std::string driver_text(const DeviceInfo& info);

nlohmann::json to_json(const Row& row);
Row row_from_json(const nlohmann::json& json, const std::string& source);

// {"format": 1, "rows": […]}
void write_rows(const std::string& path, const std::vector<Row>& rows);
// Throws kInvalidFile naming the file and the row.
std::vector<Row> read_rows(const std::string& path);

}  // namespace nibble::bench
