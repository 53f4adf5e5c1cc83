#include "host/checkpoint/npy.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

const std::string kOps = NIBBLE_SOURCE_DIR "/tests/golden/ops/";

template <typename T>
void expect_round_trip(const std::vector<uint64_t>& shape, const std::vector<T>& values) {
  const TempDirectory directory;
  const std::string path = directory.file("a.npy");
  write_npy<T>(path, shape, values);
  const NpyArray<T> read = read_npy<T>(path);
  EXPECT_EQ(read.shape, shape);
  EXPECT_EQ(read.values, values);
  const std::string bytes = read_bytes(path);
  EXPECT_EQ((bytes.size() - values.size() * sizeof(T)) % 64, 0u) << "the data starts at a multiple of 64";
}

TEST(Npy, ReadsNumpysFiles) {
  const NpyArray<float> e2m1 = read_npy<float>(kOps + "format_tables/e2m1_value_of_code.npy");
  EXPECT_EQ(e2m1.shape, std::vector<uint64_t>{16});
  EXPECT_EQ(e2m1.values[7], 6.0f);
  EXPECT_EQ(e2m1.values[15], -6.0f);
  const NpyArray<uint8_t> bytes = read_npy<uint8_t>(kOps + "fp4_dequant/bytes.npy");
  ASSERT_EQ(bytes.values.size(), 256u);
  EXPECT_EQ(bytes.values[255], 255);
}

TEST(Npy, RoundTrips) {
  Rng rng(7);
  std::vector<float> floats(3 * 5 * 7);
  for (float& value : floats) value = static_cast<float>(rng.normal());
  expect_round_trip<float>({3, 5, 7}, floats);
  expect_round_trip<float>({105}, floats);
  expect_round_trip<float>({}, {-0.25f});
  expect_round_trip<float>({0, 4}, {});
  expect_round_trip<int32_t>({2}, {std::numeric_limits<int32_t>::min(), 5});
  expect_round_trip<int64_t>({1, 2}, {std::numeric_limits<int64_t>::min(), -7});
  expect_round_trip<uint8_t>({4, 1}, {0, 1, 128, 255});
}

TEST(Npy, WritesRowByRow) {
  const TempDirectory directory;
  const std::string path = directory.file("rows.npy");
  const std::vector<uint64_t> shape = {3, 2};
  NpyWriter writer(path, shape);
  writer.append(std::vector<float>{1, 2});
  expect_error([&] { writer.close(); }, path, "early");
  writer.append(std::vector<float>{3, 4});
  writer.append(std::vector<float>{5, 6});
  expect_error([&] { writer.append(std::vector<float>{7}); }, path, "more than");
  writer.close();
  EXPECT_EQ(read_npy<float>(path).values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(Npy, WriterNamesAFileItCannotCreate) {
  const std::vector<uint64_t> shape = {1};
  expect_error([&] { NpyWriter("/nonexistent/x.npy", shape); }, "/nonexistent/x.npy", "cannot be created");
}

// A file of version 1.0 with this header text and data.
std::string npy_bytes(const std::string& header, const std::string& data) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

TEST(Npy, NamesWhatIsWrong) {
  struct Case {
    const char* what;
    std::string bytes;
    const char* expected;
  };
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
  const std::string eight(8, '\0');
  const Case cases[] = {
      {"empty", "", "not a .npy file"},
      {"magic", "NUMPY" + eight + eight, "not a .npy file"},
      {"version 2", std::string("\x93NUMPY\x02\x00", 8) + eight, "not a .npy file of version 1.0"},
      {"header length", std::string("\x93NUMPY\x01\x00\xff\xff", 10), "header length 65535"},
      {"short data", npy_bytes(good, eight.substr(1)), "7 data bytes, expected 8 from shape (2)"},
      {"long data", npy_bytes(good, eight + "x"), "9 data bytes"},
      {"type", npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", eight),
       "type '<f8', expected '<f4'"},
      {"order", npy_bytes("{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", eight), "Fortran order"},
      {"negative", npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", eight), "damaged at '-2"},
      {"overflow", npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", eight),
       "more than 2^64 bytes"},
      {"too large", npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", eight),
       "damaged at '999"},
      {"no shape", npy_bytes("{'descr': '<f4', 'fortran_order': False}", eight), "damaged"},
      {"other key", npy_bytes("{'descr': '<f4', 'x': False}", eight), "damaged"},
      {"open string", npy_bytes("{'descr': '<f4", eight), "damaged"},
      {"open dict", npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", eight), "damaged"},
      {"trailing text", npy_bytes(good + "x", eight), "damaged at 'x'"},
      {"no dict", npy_bytes("", eight), "damaged"},
  };
  const TempDirectory directory;
  for (const Case& test : cases) {
    SCOPED_TRACE(test.what);
    const std::string path = directory.write("bad.npy", test.bytes);
    expect_error([&] { read_npy<float>(path); }, path, test.expected);
  }
  expect_error([&] { read_npy<float>(directory.file("none.npy")); }, "none.npy", "No such file");
  expect_error([&] { read_npy<float>(directory.path()); }, directory.path(), "not a regular file");
}

}  // namespace
}  // namespace nibble
