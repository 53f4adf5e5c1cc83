#include "host/checkpoint/safetensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

std::string random_bytes(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng.below(256));
  return bytes;
}

std::string_view text_of(const TensorView& tensor) {
  return {reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()};
}

std::vector<StoredTensor> sample_tensors() {
  return {{.name = "odd", .dtype = Dtype::kI8, .shape = {3}, .bytes = random_bytes(3, 1)},
          {.name = "matrix", .dtype = Dtype::kF32, .shape = {5, 7}, .bytes = random_bytes(140, 2)},
          {.name = "scalar", .dtype = Dtype::kI64, .shape = {}, .bytes = random_bytes(8, 3)},
          {.name = "empty", .dtype = Dtype::kBf16, .shape = {4, 0}, .bytes = ""},
          {.name = "a \"name\" \u00e9\n", .dtype = Dtype::kF8E4M3, .shape = {2, 2}, .bytes = random_bytes(4, 4)}};
}

TEST(Safetensors, RoundTrips) {
  const TempDirectory directory;
  const std::vector<StoredTensor> tensors = sample_tensors();
  const SafetensorsFile file = SafetensorsFile::open(directory.write("a.safetensors", safetensors_bytes(tensors)));
  EXPECT_EQ(file.tensors().size(), tensors.size());
  for (const StoredTensor& expected : tensors) {
    SCOPED_TRACE(expected.name);
    const TensorView* const found = file.find(expected.name);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->name, expected.name);
    EXPECT_EQ(found->dtype, expected.dtype);
    EXPECT_EQ(found->shape, expected.shape);
    EXPECT_EQ(text_of(*found), expected.bytes);
    EXPECT_EQ(*found->file, file.path());
  }
  EXPECT_EQ(file.find("matri"), nullptr);
  EXPECT_EQ(file.find(""), nullptr);
  EXPECT_EQ(file.find("matrix")->elements(), 35u);
}

TEST(Safetensors, ViewsStayWhereTheyAreWhenTheFileMoves) {
  const TempDirectory directory;
  SafetensorsFile first = SafetensorsFile::open(directory.write("a.safetensors", safetensors_bytes(sample_tensors())));
  const TensorView* const view = first.find("matrix");
  const std::byte* const data = view->data.data();
  SafetensorsFile second = std::move(first);
  EXPECT_EQ(second.find("matrix"), view);
  EXPECT_EQ(view->data.data(), data);
  EXPECT_EQ(text_of(*view), sample_tensors()[1].bytes);
  EXPECT_EQ(*view->file, second.path());
}

TEST(Safetensors, ReadsFilesWithoutTensorsAndWithGaps) {
  const TempDirectory directory;
  EXPECT_TRUE(SafetensorsFile::open(directory.write("none.safetensors", raw_safetensors("{}", ""))).tensors().empty());
  // Padding before, between and after tensors; spaces after the header, as writers align the data.
  const std::string header = R"({"b": {"dtype": "U8", "shape": [2], "data_offsets": [6, 8]},
    "a": {"dtype": "U8", "shape": [1], "data_offsets": [3, 4]}}      )";
  const SafetensorsFile file = SafetensorsFile::open(directory.write("g", raw_safetensors(header, "...A..BC.")));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "a") << "in the order of the data";
  EXPECT_EQ(text_of(file.tensors()[0]), "A");
  EXPECT_EQ(text_of(file.tensors()[1]), "BC");
}

TEST(Safetensors, ReadsValuesAtAnyAddress) {
  const TempDirectory directory;
  const std::vector<StoredTensor> tensors = {
      {.name = "pad", .dtype = Dtype::kU8, .shape = {1}, .bytes = "x"},
      {.name = "bf16", .dtype = Dtype::kBf16, .shape = {2}, .bytes = std::string("\xc0\x3f\x20\xc0", 4)},
      {.name = "f32", .dtype = Dtype::kF32, .shape = {1}, .bytes = std::string("\x00\x00\x20\xc0", 4)},
      {.name = "i32", .dtype = Dtype::kI32, .shape = {1}, .bytes = std::string("\xfe\xff\xff\xff", 4)},
      {.name = "i64", .dtype = Dtype::kI64, .shape = {1}, .bytes = std::string("\x01\x00\x00\x00\x02\x00\x00\x00", 8)}};
  const SafetensorsFile file = SafetensorsFile::open(directory.write("a", safetensors_bytes(tensors)));
  EXPECT_EQ(read_f32(*file.find("bf16")), (std::vector<float>{1.5f, -2.5f}));
  EXPECT_EQ(read_f32(*file.find("f32")), std::vector<float>{-2.5f});
  EXPECT_EQ(read_integers(*file.find("i32")), std::vector<int64_t>{-2});
  EXPECT_EQ(read_integers(*file.find("i64")), std::vector<int64_t>{(int64_t{2} << 32) + 1});
  expect_error([&] { read_f32(*file.find("i32")); }, "tensor 'i32'", "I32", "floats");
  expect_error([&] { read_integers(*file.find("f32")); }, "tensor 'f32'", "F32", "integers");
}

TEST(Safetensors, KnowsEveryDtypeByItsName) {
  for (int i = 0; i <= static_cast<int>(Dtype::kF64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype) << dtype_name(dtype);
  }
  EXPECT_EQ(dtype_bytes(Dtype::kBf16), 2u);
  EXPECT_EQ(dtype_bytes(Dtype::kF8E8M0), 1u);
  EXPECT_EQ(dtype_bytes(Dtype::kI64), 8u);
  EXPECT_EQ(dtype_from_name("f32"), std::nullopt);
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return fmt::format(R"({{"t": {{"dtype": {}, "shape": {}, "data_offsets": {}}}}})", dtype, shape, offsets);
}

TEST(Safetensors, NamesWhatIsWrongWithATensor) {
  struct Case {
    std::string header;
    const char* expected;
  };
  const std::string u8 = R"("U8")";
  const std::string overlap = R"({"t": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
    "u": {"dtype": "U8", "shape": [4], "data_offsets": [3, 7]}})";
  const std::string inside = R"({"t": {"dtype": "U8", "shape": [2], "data_offsets": [3, 5]},
    "u": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}})";
  const std::string same = R"({"t": {"dtype": "U8", "shape": [2], "data_offsets": [3, 5]},
    "u": {"dtype": "U8", "shape": [2], "data_offsets": [3, 5]}})";
  const Case cases[] = {
      {entry(u8, "[16]", "[0, 16]"), "end after the file's 8 data bytes (is the file truncated?)"},
      {entry(u8, "[1]", "[8, 9]"), "end after the file's 8 data bytes"},
      {entry(u8, "[1]", "[18446744073709551614, 18446744073709551615]"), "end after the file's 8 data bytes"},
      {entry(u8, "[4]", "[4, 0]"), "end before they begin"},
      {entry(u8, "[4]", "[0, 5]"), "hold 5 bytes, expected 4 from U8 [4]"},
      {entry(R"("F32")", "[4]", "[0, 4]"), "hold 4 bytes, expected 16 from F32 [4]"},
      {entry(u8, "[4294967296, 4294967296, 2]", "[0, 8]"), "more than 2^64 bytes"},
      // 2^64 + 8 bytes: wraps to exactly what is there.
      {entry(R"("I64")", "[2305843009213693953]", "[0, 8]"), "more than 2^64 bytes"},
      {entry(u8, "[-1]", "[0, 4]"), "shape is [-1], expected integers from 0"},
      {entry(u8, "[1.5]", "[0, 4]"), "shape is [1.5]"},
      {entry(u8, "[99999999999999999999]", "[0, 4]"), "shape is [1e+20]"},
      {entry(u8, "4", "[0, 4]"), "shape is 4, expected a list"},
      {entry(u8, "[1,1,1,1,1,1,1,1,1]", "[0, 1]"), "at most 8 integers"},
      {entry(u8, "[4]", "[0]"), "data_offsets has 1 entries, expected 2"},
      {entry(u8, "[4]", "[0, 4, 8]"), "expected a list of at most 2"},
      {entry(u8, "[4]", "[-4, 0]"), "data_offsets is [-4,0]"},
      {entry(u8, "[4]", "{\"0\": 4}"), "data_offsets is {\"0\":4}"},
      {entry(R"("F4")", "[4]", "[0, 4]"), "dtype \"F4\" is not supported"},
      {entry(R"("e4m3")", "[4]", "[0, 4]"), "dtype \"e4m3\" is not supported"},
      {entry("8", "[4]", "[0, 4]"), "dtype is 8, expected a name"},
      {R"({"t": {"shape": [4], "data_offsets": [0, 4]}})", "no dtype"},
      {R"({"t": {"dtype": "U8", "data_offsets": [0, 4]}})", "no shape"},
      {R"({"t": {"dtype": "U8", "shape": [4]}})", "no data_offsets"},
      {R"({"t": [1, 2]})", "found [1,2], expected an object"},
      {R"({"t": null})", "found null, expected an object"},
      {overlap, "data overlaps that of"},
      {inside, "data overlaps that of"},
      {same, "data overlaps that of"},
  };
  const TempDirectory directory;
  for (const Case& test : cases) {
    SCOPED_TRACE(test.header);
    const std::string path = directory.write("bad.safetensors", raw_safetensors(test.header, "12345678"));
    expect_error([&] { SafetensorsFile::open(path); }, path, "tensor '", test.expected);
  }
}

std::string with_length(uint64_t length, const std::string& rest) {
  std::string bytes = raw_safetensors("", rest);
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return bytes;
}

TEST(Safetensors, NamesWhatIsWrongWithAHeader) {
  const std::string deep = R"({"t": )" + std::string(1000, '[') + std::string(1000, ']') + "}";
  const std::string twice = R"({"t": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    "t": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}})";
  const std::pair<std::string, const char*> cases[] = {
      {"", "an empty file"},
      {"1234567", "7 bytes, too short"},
      {with_length(uint64_t{1} << 63, "{}"), "header length 9223372036854775808, allowed 100000000"},
      {with_length(~uint64_t{0}, "{}"), "header length 18446744073709551615"},
      {with_length(100'000'001, "{}"), "header length 100000001"},
      {with_length(3, "{}"), "header length 3, but the file has 10 bytes"},
      {with_length(90'000'000, "{}"), "but the file has 10 bytes (is it truncated?)"},
      {with_length(1, "{}"), "not valid JSON"},
      {raw_safetensors("", ""), "not valid JSON"},
      {raw_safetensors("[]", ""), "the header is not a JSON object"},
      {raw_safetensors("\xff\xfe garbage", ""), "not valid JSON at byte"},
      {raw_safetensors("{\"\xc3\x28\": 1}", ""), "not valid JSON"},
      {raw_safetensors(random_bytes(300, 9), ""), "not valid JSON"},
      {raw_safetensors(deep, ""), "nested deeper than 8"},
      {raw_safetensors(twice, "12"), "'t' appears twice"},
  };
  const TempDirectory directory;
  for (const auto& [bytes, expected] : cases) {
    SCOPED_TRACE(expected);
    const std::string path = directory.write("bad.safetensors", bytes);
    expect_error([&] { SafetensorsFile::open(path); }, path, expected);
  }
  expect_error([&] { SafetensorsFile::open(directory.file("none")); }, "none", "No such file");
  expect_error([&] { SafetensorsFile::open(directory.path()); }, directory.path(), "not a regular file");
}

// What a damaged file still gives are views inside the file; their bytes are touched here so that a sanitiser sees it.
void expect_views_inside(const SafetensorsFile& file, size_t file_bytes) {
  size_t total = 0;
  unsigned sum = 0;
  for (const TensorView& tensor : file.tensors()) {
    total += tensor.data.size();
    if (!tensor.data.empty()) {
      sum += std::to_integer<unsigned>(tensor.data.front()) + std::to_integer<unsigned>(tensor.data.back());
    }
  }
  EXPECT_LE(total, file_bytes) << "overlapping views, sum " << sum;
}

TEST(Safetensors, SurvivesRandomDamage) {
  const TempDirectory directory;
  const std::string good = safetensors_bytes(sample_tensors());
  const size_t header_end = good.size() - 155;
  Rng rng(4711);
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = good;
    for (uint32_t edits = 1 + rng.below(3); edits > 0; --edits) {
      // Half of the edits are digits in the place of digits: those reach the checks behind the JSON parser.
      size_t at = rng.below(static_cast<uint32_t>(header_end));
      if (rng.below(2) == 0) at = good.find_first_of("0123456789", std::max<size_t>(at, 8));
      if (at == std::string::npos) continue;
      const bool digit = at >= 8 && rng.below(4) != 0;
      bytes[at] = static_cast<char>(digit ? '0' + rng.below(10) : rng.below(256));
    }
    if (rng.below(10) == 0) bytes.resize(rng.below(static_cast<uint32_t>(bytes.size())));
    const std::string path = directory.write("damaged.safetensors", bytes);
    try {
      expect_views_inside(SafetensorsFile::open(path), bytes.size());
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(accepted, 50);
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace nibble
