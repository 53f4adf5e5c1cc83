#include "host/checkpoint/weight_scan.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/base/format.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

TensorView view(Dtype dtype, std::string_view bytes) {
  static const std::string file = "file";
  return {.name = "t",
          .dtype = dtype,
          .shape = {bytes.size() / dtype_bytes(dtype)},
          .data = std::as_bytes(std::span(bytes)),
          .file = &file};
}

template <typename T>
std::string bytes_of(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(std::data(values)), values.size() * sizeof(T)};
}

// Every code of every format: those that the decoders call NaN or infinite, and no other.
TEST(WeightScan, CountsExactlyWhatIsNoNumber) {
  for (unsigned code = 0; code < 256; ++code) {
    const std::string byte(1, static_cast<char>(code));
    const auto c = static_cast<uint8_t>(code);
    EXPECT_EQ(reserved_codes(view(Dtype::kF8E4M3, byte), 254).all(), std::isnan(e4m3_to_f32(c)) ? 1u : 0u) << code;
    EXPECT_EQ(reserved_codes(view(Dtype::kF8E8M0, byte), 254).nan, std::isnan(e8m0_to_f32(c)) ? 1u : 0u) << code;
    EXPECT_EQ(reserved_codes(view(Dtype::kI8, byte), 254).all(), 0u) << code;
  }
  for (unsigned code = 0; code < 65536; ++code) {
    const auto c = static_cast<uint16_t>(code);
    const ReservedCodes bf16 = reserved_codes(view(Dtype::kBf16, bytes_of({c})), 254);
    EXPECT_EQ(bf16.nan, std::isnan(bf16_to_f32(c)) ? 1u : 0u) << code;
    EXPECT_EQ(bf16.infinite, std::isinf(bf16_to_f32(c)) ? 1u : 0u) << code;
    const ReservedCodes f16 = reserved_codes(view(Dtype::kF16, bytes_of({c})), 254);
    EXPECT_EQ(f16.nan, std::isnan(f16_to_f32(c)) ? 1u : 0u) << code;
    EXPECT_EQ(f16.infinite, std::isinf(f16_to_f32(c)) ? 1u : 0u) << code;
  }
  using Limits = std::numeric_limits<float>;
  const ReservedCodes f32 = reserved_codes(
      view(Dtype::kF32, bytes_of({1.0f, Limits::quiet_NaN(), -Limits::infinity(), Limits::max(), 0.0f})), 254);
  EXPECT_EQ(f32.nan, 1u);
  EXPECT_EQ(f32.infinite, 1u);
}

TEST(WeightScan, FindsTheTensorsOfAModel) {
  const TempDirectory directory;
  const ModelConfig config = ModelConfig::parse(synthetic_config().dump(), "config.json");
  std::vector<StoredTensor> tensors = stored_synthetic_tensors(config);
  const auto change = [&](const std::string& name, char code) {
    for (StoredTensor& tensor : tensors) {
      if (tensor.name == name) tensor.bytes[0] = tensor.bytes[1] = code;
    }
  };
  write_checkpoint(directory.path(), synthetic_config().dump(), tensors, 2);
  EXPECT_TRUE(scan_weights(Checkpoint::open(directory.path()), {}).empty());
  change("layers.0.attn.wq_a.weight", '\xff');
  change("layers.1.ffn.experts.2.w1.scale", '\xff');
  change("layers.1.ffn.experts.3.w1.scale", '\xfd');  // 2^126 * 6 exceeds f32
  change("layers.1.ffn.experts.4.w1.scale", '\xfc');  // 2^125 * 6 does not
  change("layers.2.attn.wo_a.scale", '\xf7');         // 2^120 * 448 does
  change("layers.2.attn.wq_b.scale", '\xf6');
  write_checkpoint(directory.path(), synthetic_config().dump(), tensors, 2);
  uint64_t last = 0;
  uint64_t all = 0;
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  const auto found = scan_weights(checkpoint, [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    last = done;
    all = total;
  });
  EXPECT_EQ(last, all);
  ASSERT_EQ(found.size(), 4u);
  std::string text;
  for (const ReservedCodes& codes : found) text += describe(codes) + "\n";
  EXPECT_NE(text.find("'layers.0.attn.wq_a.weight' in "), std::string::npos) << text;
  EXPECT_NE(text.find("experts.2.w1.scale' in "), std::string::npos) << text;
  EXPECT_NE(text.find("2 NaN"), std::string::npos) << text;
  EXPECT_NE(text.find("scales too large for f32"), std::string::npos) << text;
}

}  // namespace
}  // namespace nibble
