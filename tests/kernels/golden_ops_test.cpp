// The kernels of weights and routing against the golden vectors of the published reference, on every device.
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "shaders/experts/moe/moe.h"
#include "shaders/linear/gemm/gemm.h"
#include "shaders/norm/quant_fp8_f32/quant_fp8_f32.h"
#include "shaders/routing/gate_topk_f32/gate_topk_f32.h"
#include "tests/kernels/op_runner.h"

namespace nibble {
namespace {

// tests/golden/README.md: "floats 1e-5 relative to the array's RMS".
constexpr double kRelative = 1e-5;

std::vector<float> quantise(Device& device, const std::vector<float>& x, uint32_t cols, uint32_t block) {
  const auto rows = static_cast<uint32_t>(x.size() / cols);
  return floats_of(run_operation(device, {.kernel = kernels::quant_fp8_f32(),
                                          .params = pack_params(QuantParams{.cols = cols, .block = block}),
                                          .step = step_of(rows),
                                          .bindings = {bytes_of(x), unset(x.size())}})[1]);
}

std::vector<float> multiply_fp8(Device& device, const std::vector<uint8_t>& codes, const std::vector<uint8_t>& scales,
                                const std::vector<float>& x, uint32_t cols) {
  const auto rows = static_cast<uint32_t>(codes.size() / cols);
  const auto tokens = static_cast<uint32_t>(x.size() / cols);
  const GemmParams params{.rows = rows, .cols = cols, .x_stride = cols, .y_stride = rows};
  return floats_of(run_operation(
      device, {.kernel = kernels::gemm_fp8_f32(),
               .params = pack_params(params),
               .step = step_of(tokens),
               .bindings = {bytes_of(x), bytes_of(codes), bytes_of(scales), unset(size_t{tokens} * rows)}})[3]);
}

// One FP4 matrix as the only expert.
std::vector<float> multiply_fp4(Device& device, const std::vector<uint8_t>& codes, const std::vector<uint8_t>& scales,
                                const std::vector<float>& x, uint32_t cols) {
  const auto rows = static_cast<uint32_t>(codes.size() * 2 / cols);
  const auto tokens = static_cast<uint32_t>(x.size() / cols);
  const MoeDownParams params{.rows = rows, .cols = cols, .k = 1, .expert_end = 1};
  return floats_of(
      run_operation(device, {.kernel = kernels::moe_down_fp4_f32(),
                             .params = pack_params(params),
                             .step = step_of(tokens),
                             .bindings = {bytes_of(x), bytes_of(std::vector<uint32_t>(tokens)), bytes_of(codes),
                                          bytes_of(scales), unset(size_t{tokens} * rows)}})[4]);
}

using Multiply = std::vector<float> (*)(Device&, const std::vector<uint8_t>&, const std::vector<uint8_t>&,
                                        const std::vector<float>&, uint32_t);

void check_product(Device& device, const std::string& folder, Multiply multiply, uint32_t cols) {
  const auto codes = golden_bytes(folder + "/weight_bytes");
  const auto scales = golden_bytes(folder + "/weight_scale_bytes");
  for (const std::string m : {"m1", "m3", "m17"}) {
    const std::string prefix = folder + "/" + m;
    const auto x = golden_floats(prefix + "_x");
    expect_close(multiply(device, codes, scales, x, cols), golden_floats(prefix + "_out_plain"), kRelative,
                 prefix + "_out_plain");
    const auto rounded = quantise(device, x, cols, 128);
    expect_close(multiply(device, codes, scales, rounded, cols), golden_floats(prefix + "_out"), kRelative,
                 prefix + "_out");
  }
}

TEST(GoldenOps, Fp8Product) {
  on_every_device([](Device& device) { check_product(device, "fp8_gemm", multiply_fp8, 512); });
}

TEST(GoldenOps, Fp8ProductWithAPartialBlock) {
  on_every_device([](Device& device) { check_product(device, "fp8_gemm_partial_block", multiply_fp8, 384); });
}

TEST(GoldenOps, Fp4Product) {
  on_every_device([](Device& device) { check_product(device, "fp4_gemm", multiply_fp4, 512); });
}

TEST(GoldenOps, ActivationRounding) {
  on_every_device([](Device& device) {
    for (const uint32_t block : {64u, 128u}) {
      const std::string folder = fmt::format("act_quant_fp8_block{}", block);
      expect_close(quantise(device, golden_floats(folder + "/x"), block * 4, block),
                   golden_floats(folder + "/dequantised"), 0, folder);
    }
  });
}

// A matrix times the unit matrix is the transposed matrix, exactly.
std::vector<float> unit_matrix(uint32_t n) {
  std::vector<float> unit(size_t{n} * n);
  for (uint32_t i = 0; i < n; ++i) unit[size_t{i} * n + i] = 1;
  return unit;
}

std::vector<float> transposed(const std::vector<float>& matrix, size_t cols) {
  std::vector<float> result(matrix.size());
  const size_t rows = matrix.size() / cols;
  for (size_t i = 0; i < matrix.size(); ++i) result[i % cols * rows + i / cols] = matrix[i];
  return result;
}

TEST(GoldenOps, Fp8Values) {
  on_every_device([](Device& device) {
    const auto found = multiply_fp8(device, golden_bytes("fp8_dequant/codes"), golden_bytes("fp8_dequant/scale_bytes"),
                                    unit_matrix(128), 128);
    expect_close(found, transposed(golden_floats("fp8_dequant/values"), 128), 0, "fp8_dequant");
  });
}

TEST(GoldenOps, Fp4Values) {
  on_every_device([](Device& device) {
    const auto found = multiply_fp4(device, golden_bytes("fp4_dequant/matrix_bytes"),
                                    golden_bytes("fp4_dequant/matrix_scale_bytes"), unit_matrix(128), 128);
    expect_close(found, transposed(golden_floats("fp4_dequant/matrix_values"), 128), 0, "fp4_dequant");
  });
}

// Every pair of FP4 codes under every scale of the table: a row per scale. Devices may flush subnormals to zero.
TEST(GoldenOps, Fp4ValuesUnderExtremeScales) {
  on_every_device([](Device& device) {
    const auto scale_bytes = golden_bytes("fp4_dequant/scale_bytes");
    const auto codes = golden_bytes("fp4_dequant/bytes");
    const auto values = golden_floats("fp4_dequant/values");
    const bool exact = device.info().backend == BackendKind::kCpu;
    for (size_t s = 0; s < scale_bytes.size(); ++s) {
      const std::vector<uint8_t> scales(16, scale_bytes[s]);
      const auto found = multiply_fp4(device, codes, scales, unit_matrix(512), 512);
      for (size_t i = 0; i < 512; ++i) {
        const float want = values[s * 512 + i];
        if (!exact && std::fabs(want) < 0x1p-124f && found[i] == 0.0f) continue;
        ASSERT_EQ(found[i], want) << "scale byte " << int{scale_bytes[s]} << ", column " << i;
      }
    }
  });
}

struct ExpertRun {
  std::vector<float> weights;
  float limit = 1;
  bool rounded = true;
};

std::vector<float> run_expert(Device& device, const ExpertRun& run) {
  const std::string folder = "expert_swiglu/";
  auto x = golden_floats(folder + "x");
  const auto tokens = static_cast<uint32_t>(x.size() / 256);
  if (run.rounded) x = quantise(device, x, 256, 128);
  const std::vector<uint32_t> ids(tokens);
  const MoeTilesParams sorting{.k = 1, .experts = 1, .order_at = moe_order_at(tokens, 1)};
  const auto tiles = run_operation(device, {.kernel = kernels::moe_tiles_u32(),
                                            .params = pack_params(sorting),
                                            .step = step_of(tokens),
                                            .bindings = {bytes_of(ids), unset(moe_tiles_words(tokens, 1))}})[1];
  const MoeUpParams up{.rows = 128,
                       .cols = 256,
                       .k = 1,
                       .expert_end = 1,
                       .limit = run.limit,
                       .experts = 1,
                       .order_at = sorting.order_at};
  auto h = floats_of(run_operation(
      device,
      {.kernel = kernels::moe_up_fp4_f32(),
       .params = pack_params(up),
       .step = step_of(tokens),
       .bindings = {bytes_of(x), bytes_of(ids), bytes_of(run.weights), bytes_of(golden_bytes(folder + "w1_bytes")),
                    bytes_of(golden_bytes(folder + "w1_scale_bytes")), bytes_of(golden_bytes(folder + "w3_bytes")),
                    bytes_of(golden_bytes(folder + "w3_scale_bytes")), unset(size_t{tokens} * 128), tiles}})[7]);
  if (run.rounded) h = quantise(device, h, 128, 128);
  return multiply_fp4(device, golden_bytes(folder + "w2_bytes"), golden_bytes(folder + "w2_scale_bytes"), h, 128);
}

TEST(GoldenOps, Expert) {
  on_every_device([](Device& device) {
    const auto weights = golden_floats("expert_swiglu/routing_weight");
    const std::vector<float> ones(weights.size(), 1.0f);
    const float no_limit = std::numeric_limits<float>::max();
    expect_close(run_expert(device, {.weights = weights, .rounded = false}), golden_floats("expert_swiglu/y_plain"),
                 kRelative, "y_plain");
    expect_close(run_expert(device, {.weights = weights}), golden_floats("expert_swiglu/y"), kRelative, "y");
    expect_close(run_expert(device, {.weights = ones}), golden_floats("expert_swiglu/y_unweighted"), kRelative,
                 "y_unweighted");
    expect_close(run_expert(device, {.weights = weights, .limit = no_limit}), golden_floats("expert_swiglu/y_no_clamp"),
                 kRelative, "y_no_clamp");
  });
}

void check_gate(Device& device, const std::string& folder, bool hash) {
  const auto x = golden_floats(folder + "/x");
  const auto tokens = static_cast<uint32_t>(x.size() / 256);
  const GemmParams gemm{.rows = 16, .cols = 256, .x_stride = 256, .y_stride = 16};
  const auto logits = run_operation(
      device, {.kernel = kernels::gemm_f32_f32(),
               .params = pack_params(gemm),
               .step = step_of(tokens),
               .bindings = {bytes_of(x), bytes_of(golden_floats(folder + "/weight")), unset(size_t{tokens} * 16)}})[2];
  const GateParams gate{.experts = 16, .k = 4, .hash = hash ? 1u : 0u, .tokens_at = kStepHeaderWords, .scale = 1.5f};
  const auto token_ids = hash ? golden_words(folder + "/token_ids") : std::vector<uint32_t>(tokens);
  const auto bias = hash ? std::vector<float>(16) : golden_floats(folder + "/bias");
  const auto table = hash ? golden_words(folder + "/tid2eid") : std::vector<uint32_t>(4);
  const auto routed = run_operation(device, {.kernel = kernels::gate_topk_f32(),
                                             .params = pack_params(gate),
                                             .step = step_of(tokens, token_ids),
                                             .bindings = {logits, bytes_of(bias), bytes_of(table),
                                                          unset(size_t{tokens} * 4), unset(size_t{tokens} * 4)}});
  EXPECT_EQ(words_of(routed[3]), golden_words(folder + "/expert_ids"));
  expect_close(floats_of(routed[4]), golden_floats(folder + "/expert_weights"), kRelative, folder);
}

TEST(GoldenOps, RoutingByScore) {
  on_every_device([](Device& device) { check_gate(device, "gate_score", false); });
}

TEST(GoldenOps, RoutingByTable) {
  on_every_device([](Device& device) { check_gate(device, "gate_hash", true); });
}

}  // namespace
}  // namespace nibble
