// The problems that `nibble bench` measures: complete, sized by their params, and of the shapes they claim.
#include <bit>
#include <cmath>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "bench/kernel_bench.h"
#include "bench/kernel_problem.h"
#include "bench/moe_problem.h"
#include "bench/profile.h"
#include "runtime/core/kernel_table.h"
#include "runtime/device/open_device.h"
#include "shaders/linear/gemm/gemm.h"
#include "tests/support/expect_error.h"

namespace nibble::bench {
namespace {

// Small overrides of what would make a test slow.
ProblemRequest small_request(uint32_t tokens) {
  return {.tokens = tokens,
          .position = 255,
          .overrides = {{"rows", 96}, {"cols", 256}, {"heads", 4}, {"vocab_end", 32}, {"k", 4}}};
}

TEST(BenchProblem, EveryKernelHasShapes) {
  for (const KernelSpec* kernel : kernel_table()) {
    if (kernel->name.starts_with("moe_")) continue;  // moe_problem.h builds those
    EXPECT_FALSE(problem_shapes(kernel->name).empty()) << kernel->name;
  }
}

TEST(BenchProblem, EveryShapeRunsAndIsFinite) {
  const auto device = open_device("cpu", {});
  for (const KernelSpec* kernel : kernel_table()) {
    for (const ProblemShape& shape : problem_shapes(kernel->name)) {
      for (const uint32_t tokens : {1u, 3u}) {
        SCOPED_TRACE(std::string(kernel->name) + " " + shape.name);
        Rng rng(tokens);
        const CaseData data = shape.make(*kernel, small_request(tokens), rng);
        ASSERT_EQ(data.bindings.size(), kernel->bindings.size());
        ASSERT_EQ(data.params.size(), kernel->params.size() * 4);
        const Workload workload = place_problem(*device, *kernel, data, 1 << 20);
        check_outputs(*device, workload, "test", true);
        EXPECT_GT(workload.bytes + workload.flops, 0u);
      }
    }
  }
}

TEST(BenchProblem, ColdDataAreCopies) {
  const auto device = open_device("cpu", {});
  const KernelSpec& kernel = kernels::gemm_fp8_f32();
  Rng rng(1);
  ProblemRequest request{.overrides = {{"rows", 1024}, {"cols", 1024}}};
  const CaseData data = problem_shapes(kernel.name).front().make(kernel, request, rng);
  EXPECT_EQ(place_problem(*device, kernel, data, 5 << 20).programs.size(), 5u);
  request.overrides["rows"] = 64;  // 64 KiB: caches hold it in real use too
  const CaseData tiny = problem_shapes(kernel.name).front().make(kernel, request, rng);
  EXPECT_EQ(place_problem(*device, kernel, tiny, 5 << 20).programs.size(), 1u);
}

TEST(BenchProblem, OverridesGoByName) {
  const KernelSpec& kernel = kernels::gemm_fp8_f32();
  const auto params = overridden(pack_params(GemmParams{.rows = 7, .cols = 32}), kernel, {.overrides = {{"rows", 9}}});
  EXPECT_EQ(unpack_params<GemmParams>(params).rows, 9u);
  EXPECT_EQ(unpack_params<GemmParams>(params).cols, 32u);
  EXPECT_EQ(describe_params(kernel, params), "rows=9,cols=32");
  check_overrides({&kernel}, {.overrides = {{"rows", 9}}});
  expect_error([&] { check_overrides({&kernel}, {.overrides = {{"heads", 9}}}); }, "heads");
}

TEST(BenchProblem, KernelsAreNamedByTheirBeginnings) {
  EXPECT_EQ(select_kernels({}).size(), kernel_table().size());
  const auto gemms = select_kernels({"gemm_"});
  ASSERT_EQ(gemms.size(), 3u);
  for (const KernelSpec* kernel : gemms) EXPECT_TRUE(kernel->name.starts_with("gemm_"));
  expect_error([] { select_kernels({"nosuch"}); }, "nosuch");
}

TEST(BenchProblem, RandomContentIsFiniteAndNeverZero) {
  Rng rng(3);
  const std::vector<std::byte> floats = random_floats(rng, 1001);
  ASSERT_EQ(floats.size(), 4004u);
  std::set<float> different;
  for (size_t i = 0; i < 1001; ++i) {
    float value = 0;
    std::memcpy(&value, floats.data() + i * 4, 4);
    EXPECT_TRUE(std::fabs(value) >= 0.25f && std::fabs(value) <= 1.0f) << value;
    different.insert(value);
  }
  EXPECT_GT(different.size(), 900u);
  for (const std::byte code : random_e4m3(rng, 4096)) {
    const auto magnitude = static_cast<uint32_t>(code) & 0x7fu;
    EXPECT_TRUE(magnitude != 0 && magnitude != 0x7f) << magnitude;
  }
}

TEST(BenchMoe, RoutingRotatesThroughDisjointExperts) {
  const MoeShape shape = {.experts = 24, .active = 6};
  std::set<uint32_t> seen;
  for (uint32_t shift = 0; shift < 24; shift += 6) {
    const auto ids = route_tokens(shape, 1, shift, 1);
    EXPECT_EQ(ids.size(), 6u);
    seen.insert(ids.begin(), ids.end());
  }
  EXPECT_EQ(seen.size(), 24u);
  const auto many = route_tokens(shape, 50, 3, 1);
  for (size_t t = 0; t < 50; ++t) {
    const std::set<uint32_t> of_token(many.begin() + static_cast<ptrdiff_t>(t * 6),
                                      many.begin() + static_cast<ptrdiff_t>(t * 6 + 6));
    EXPECT_EQ(of_token.size(), 6u) << "token " << t;
    EXPECT_LT(*of_token.rbegin(), 24u);
  }
}

TEST(BenchMoe, PartsRunAndCountTheirWork) {
  const auto device = open_device("cpu", {});
  for (const bool fp8 : {false, true}) {
    const MoeShape shape = {.experts = 6, .active = 2, .hidden = 256, .width = 128, .fp8 = fp8};
    const MoeProblem problem(*device, shape);
    for (const uint32_t tokens : {1u, 17u}) {
      const Workload up = problem.workload(MoePart::kUp, tokens, Numerics::kReference);
      const Workload down = problem.workload(MoePart::kDown, tokens, Numerics::kReference);
      const Workload block = problem.workload(MoePart::kBlock, tokens, Numerics::kReference);
      check_outputs(*device, up, "up");
      check_outputs(*device, down, "down");
      check_outputs(*device, block, "block");
      EXPECT_EQ(up.programs.size(), 3u);
      EXPECT_EQ(up.flops, uint64_t{tokens} * 2 * 256 * 128 * 4);
      EXPECT_EQ(block.flops, up.flops + down.flops);
      const uint64_t used = tokens == 1 ? 2 : 6;
      const uint64_t matrix = fp8 ? 256 * 128 + 2 : 256 * 128 / 2 + 256 * 128 / 32;
      EXPECT_EQ(block.bytes, used * 3 * matrix + 2 * uint64_t{tokens} * 256 * 4);
    }
  }
}

TEST(BenchProfile, SharesAndTreeAddUp) {
  const std::vector<DispatchProfile> step = {
      {.label = "model.embed", .kernel = "embed__a", .seconds = 1, .cost = {.bytes = 8}},
      {.label = "layers.0.attn.q", .kernel = "gemm__a", .seconds = 3, .cost = {.bytes = 10, .flops = 20}},
      {.label = "layers.1.attn.q", .kernel = "gemm__a", .seconds = 4, .cost = {.bytes = 10, .flops = 20}}};
  Steps steps(3, step);
  steps[2][1].seconds = 100;  // one slow run does not count
  const auto shares = shares_of(steps);
  ASSERT_EQ(shares.size(), 2u);
  EXPECT_EQ(shares[0].kernel, "gemm__a");
  EXPECT_EQ(shares[0].dispatches, 2u);
  EXPECT_EQ(shares[0].seconds, 7);
  EXPECT_EQ(shares[0].cost.flops, 40u);
  const ProfileNode root = tree_of(steps);
  EXPECT_EQ(root.seconds, 8);
  EXPECT_EQ(root.children.at("layers").children.at("1").children.at("attn").children.at("q").seconds, 4);
  const std::string svg = flame_svg(root, "step");
  EXPECT_NE(svg.find("layers.1.attn.q"), std::string::npos);
  EXPECT_NE(svg.find("50.0 %"), std::string::npos);
  expect_error([] { shares_of({}); }, "no step");
}

}  // namespace
}  // namespace nibble::bench
