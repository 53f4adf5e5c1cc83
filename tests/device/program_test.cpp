// Programs: recorded once, replayed with other steps. The oracle is the same arithmetic on the host.
#include <algorithm>
#include <cmath>

#include "tests/device/device_fixture.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

using Words = std::vector<uint32_t>;

// x -> a -> b -> a again -> y, and y is added to twice: reads after writes, writes after reads, writes after writes.
struct HazardChain {
  static constexpr uint32_t kCount = 1003;  // not a multiple of any workgroup size
  std::shared_ptr<Buffer> x, a, b, y;

  void append_to(DispatchList& list) const {
    list.add(affine(x, a, 3, 1, "a = 3x + 1"));
    list.add(affine(a, b, 5, 2, "b = 5a + 2"));
    list.add(affine(b, a, 7, 3, "a = 7b + 3"));
    list.add(affine(a, y, 1, 0, "y = a"));
    list.add(affine(x, y, 11, 4, "y = 11x + 4"));
    list.add(accumulate(a, y, "y += a"));
    list.add(accumulate(b, y, "y += b"));
  }
  static Words want(const Words& x) {
    Words y(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const uint32_t b = 5 * (3 * x[i] + 1) + 2;
      y[i] = 11 * x[i] + 4 + (7 * b + 3) + b;
    }
    return y;
  }
};

TEST_P(ProgramTest, OrdersDispatchesThatDependOnEachOther) {
  const Words x = random_words(HazardChain::kCount, 1);
  const HazardChain chain = {.x = buffer_of(*device_, x, "x"),
                             .a = poisoned(*device_, x.size(), "a"),
                             .b = poisoned(*device_, x.size(), "b"),
                             .y = poisoned(*device_, x.size(), "y")};
  DispatchList list;
  chain.append_to(list);
  const std::unique_ptr<Program> program = record(*device_, list);
  // The input changes between replays; more of them than are timed piece by piece.
  for (uint64_t replay = 0; replay < 5; ++replay) {
    const Words now = random_words(x.size(), 10 + replay);
    device_->upload(chain.x, std::as_bytes(std::span(now)));
    run(*device_, *program, step_of(1, 0));
    ASSERT_EQ(words_of(*device_, chain.y), HazardChain::want(now)) << "replay " << replay;
  }
}

TEST_P(ProgramTest, GivesTheSameBitsInAnyOrderBetweenBarriers) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const std::unique_ptr<Device> device = open_with([&](DeviceOptions& o) {
      o.shuffle_spans = true;
      o.shuffle_seed = seed;
    });
    const Words x = random_words(HazardChain::kCount, seed);
    DispatchList list;
    std::vector<HazardChain> chains;
    for (int i = 0; i < 3; ++i) {
      chains.push_back({.x = buffer_of(*device, x, "x"),
                        .a = list.temporary(x.size() * 4, "a"),
                        .b = list.temporary(x.size() * 4, "b"),
                        .y = poisoned(*device, x.size(), "y")});
      chains.back().append_to(list);
    }
    const std::unique_ptr<Program> program = record(*device, list);
    run(*device, *program, step_of(1, 0));
    for (const HazardChain& chain : chains) ASSERT_EQ(words_of(*device, chain.y), HazardChain::want(x)) << seed;
  }
}

TEST_P(ProgramTest, GridsFollowTheStep) {
  constexpr uint32_t kCols = 37;
  constexpr uint32_t kTokens = 9;
  const std::shared_ptr<Buffer> y = poisoned(*device_, kCols * kTokens, "y");
  DispatchList list;
  list.set_step_words(kStepHeaderWords + 1);
  list.add({.kernel = &test_kernels::step_rows(),
            .params = pack_params(test_kernels::StepRowsParams{.cols = kCols, .word = kStepHeaderWords}),
            .bindings = {y},
            .label = "rows"});
  const std::unique_ptr<Program> program = record(*device_, list);
  for (const uint32_t n_tokens : {1u, 0u, kTokens, 4u, 0u, 2u}) {
    Words step = step_of(n_tokens, 100 * n_tokens);
    step.push_back(0x10000u * n_tokens);
    device_->fill(y, kPoison);
    run(*device_, *program, step);
    const Words got = words_of(*device_, y);
    for (uint32_t i = 0; i < got.size(); ++i) {
      const bool computed = i < n_tokens * kCols;
      ASSERT_EQ(got[i], computed ? 100 * n_tokens + i + 0x10000u * n_tokens : kPoison) << n_tokens << " tokens, " << i;
    }
  }
}

TEST_P(ProgramTest, SkipsAConstantGridOfZeroButNotItsBarrier) {
  const Words x = random_words(100, 5);
  const std::shared_ptr<Buffer> in = buffer_of(*device_, x, "x");
  const std::shared_ptr<Buffer> a = poisoned(*device_, x.size(), "a");
  const std::shared_ptr<Buffer> y = poisoned(*device_, x.size(), "y");
  DispatchList list;
  list.add(affine(in, a, 3, 1));
  Dispatch nothing = affine(a, y, 9, 9, "nothing");
  nothing.params = pack_params(test_kernels::AffineParams{.count = 0, .factor = 9, .add = 9});
  list.add(std::move(nothing));
  list.add(affine(a, y, 5, 2));
  const std::unique_ptr<Program> program = record(*device_, list);
  run(*device_, *program, step_of(1, 0));
  const Words got = words_of(*device_, y);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(got[i], 5 * (3 * x[i] + 1) + 2);
}

class GatherTest : public ProgramTest {
 protected:
  void gather_from_slabs(Device& device);
};

void GatherTest::gather_from_slabs(Device& device) {
  constexpr uint32_t kCols = 33;
  constexpr uint32_t kPerSlab = 5;
  constexpr uint32_t kItems = 13;  // the last slab is short
  const Words table = random_words(kItems * kCols, 6);
  const uint64_t alignment = device.info().limits.offset_alignment;
  std::vector<BufferView> slabs;
  for (uint32_t first = 0; first < kItems; first += kPerSlab) {
    const uint32_t items = std::min(kPerSlab, kItems - first);
    // Each slab begins in the middle of a buffer of its own.
    const std::shared_ptr<Buffer> buffer = device.allocate(alignment + items * kCols * 4, "slab");
    device.fill(buffer, kPoison);
    slabs.emplace_back(buffer, alignment, items * kCols * 4);
    device.upload(slabs.back(), std::as_bytes(std::span(table).subspan(first * kCols, items * kCols)));
  }
  const Words ids = {12, 0, 4, 5, 9, 10, 1, 12};
  const auto rows = static_cast<uint32_t>(ids.size());
  const std::shared_ptr<Buffer> y = poisoned(device, rows * kCols, "y");
  DispatchList list;
  list.add({.kernel = &test_kernels::gather(),
            .params = pack_params(test_kernels::GatherParams{.rows = rows, .cols = kCols}),
            .bindings = {Binding(slabs, kPerSlab), buffer_of(device, ids, "ids"), y},
            .label = "gather"});
  const std::unique_ptr<Program> program = record(device, list);
  run(device, *program, step_of(1, 0));
  const Words got = words_of(device, y);
  for (uint32_t k = 0; k < rows; ++k) {
    for (uint32_t i = 0; i < kCols; ++i) ASSERT_EQ(got[k * kCols + i], table[ids[k] * kCols + i]) << k << "," << i;
  }
}

TEST_P(GatherTest, FindsItemsInSlabs) { gather_from_slabs(*device_); }

TEST_P(GatherTest, ReadsTheSameThroughTexelBuffers) {
  if (!device_->info().capabilities.has(Capability::kTexelBuffers)) GTEST_SKIP() << "no texel buffers";
  gather_from_slabs(*open_with([](DeviceOptions& o) { o.force_variant = "texels"; }));
  const std::unique_ptr<Device> without = open_with([](DeviceOptions& o) {
    o.force_variant = "texels";
    o.disabled.push_back(Capability::kTexelBuffers);
  });
  expect_error([&] { gather_from_slabs(*without); }, "test_gather_u32__texels", "cannot run it");
}

INSTANTIATE_TEST_SUITE_P(Devices, GatherTest, testing::ValuesIn(device_setups()), name_of_setup);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GatherTest);

TEST_P(ProgramTest, ProgramsAndTransfersOfAnyLengthAgree) {
  // 41 dispatches are several command buffers; with this budget each is a submission of its own.
  const std::unique_ptr<Device> device = open_with([](DeviceOptions& o) { o.submit_seconds = 1e-9; });
  const Words x = random_words(517, 7);
  DispatchList list;
  std::shared_ptr<Buffer> from = buffer_of(*device, x, "x");
  const std::shared_ptr<Buffer> y = poisoned(*device, x.size(), "y");
  Words want = x;
  for (uint32_t i = 0; i < 41; ++i) {
    const std::shared_ptr<Buffer> to = i == 40 ? y : list.temporary(x.size() * 4, fmt::format("t{}", i));
    list.add(affine(from, to, 2 * i + 1, i));
    for (uint32_t& w : want) w = (2 * i + 1) * w + i;
    from = to;
  }
  const std::unique_ptr<Program> program = record(*device, list);
  for (int replay = 0; replay < 4; ++replay) {
    device->fill(y, kPoison);
    run(*device, *program, step_of(1, 0));
    ASSERT_EQ(words_of(*device, y), want) << "replay " << replay;
  }
}

TEST_P(ProgramTest, KeepsItsBuffersAlive) {
  const Words x = random_words(300, 8);
  const std::shared_ptr<Buffer> y = poisoned(*device_, x.size(), "y");
  std::unique_ptr<Program> program;
  {
    DispatchList list;
    const HazardChain chain = {.x = buffer_of(*device_, x, "x"),
                               .a = poisoned(*device_, x.size(), "a"),
                               .b = poisoned(*device_, x.size(), "b"),
                               .y = y};
    chain.append_to(list);
    program = record(*device_, list);
  }
  // Would take the memory of a freed one.
  const std::shared_ptr<Buffer> intruder = poisoned(*device_, x.size(), "intruder");
  run(*device_, *program, step_of(1, 0));
  EXPECT_EQ(words_of(*device_, y), HazardChain::want(x));
  EXPECT_EQ(words_of(*device_, intruder), Words(x.size(), kPoison));
}

TEST_P(ProgramTest, MayBeDroppedWhileItRuns) {
  const Words x = random_words(5000, 9);
  const std::shared_ptr<Buffer> y = poisoned(*device_, x.size(), "y");
  DispatchList list;
  const HazardChain chain = {.x = buffer_of(*device_, x, "x"),
                             .a = poisoned(*device_, x.size(), "a"),
                             .b = poisoned(*device_, x.size(), "b"),
                             .y = y};
  chain.append_to(list);
  std::unique_ptr<Program> program = record(*device_, list);
  Ticket ticket = 0;
  for (int replay = 0; replay < 4; ++replay) ticket = device_->submit(*program, step_of(1, 0));
  program.reset();
  device_->wait(ticket);
  EXPECT_EQ(words_of(*device_, y), HazardChain::want(x));
}

TEST_P(ProgramTest, SubmissionsRunInOrder) {
  const Words x = random_words(777, 11);
  const std::shared_ptr<Buffer> a = buffer_of(*device_, x, "a");
  const std::shared_ptr<Buffer> b = poisoned(*device_, x.size(), "b");
  DispatchList forth;
  forth.add(affine(a, b, 3, 1));
  DispatchList back;
  back.add(affine(b, a, 5, 2));
  const std::unique_ptr<Program> first = record(*device_, forth);
  const std::unique_ptr<Program> second = record(*device_, back);
  Words want = x;
  std::vector<Ticket> tickets;
  for (int i = 0; i < 6; ++i) {
    tickets.push_back(device_->submit(*first, step_of(1, 0)));
    tickets.push_back(device_->submit(*second, step_of(1, 0)));
    for (uint32_t& w : want) w = 5 * (3 * w + 1) + 2;
  }
  EXPECT_TRUE(std::is_sorted(tickets.begin(), tickets.end()));
  device_->wait(tickets[3]);
  device_->wait(tickets.back());
  device_->wait(tickets.front());  // long over
  EXPECT_EQ(words_of(*device_, a), want);
}

TEST_P(ProgramTest, TransfersWaitForRunningPrograms) {
  const Words x = random_words(777, 12);
  const std::shared_ptr<Buffer> a = buffer_of(*device_, x, "a");
  const std::shared_ptr<Buffer> b = poisoned(*device_, x.size(), "b");
  DispatchList list;
  list.add(affine(a, b, 3, 1));
  const std::unique_ptr<Program> program = record(*device_, list);
  for (uint32_t i = 0; i < 8; ++i) {
    const Words now = random_words(x.size(), 20 + i);
    device_->upload(a, std::as_bytes(std::span(now)));
    device_->submit(*program, step_of(1, 0));
    if (i % 2 == 0) device_->fill(a, i);  // must not reach the replay
    const Words got = words_of(*device_, b);
    for (size_t k = 0; k < x.size(); ++k) ASSERT_EQ(got[k], 3 * now[k] + 1) << "replay " << i << ", " << k;
  }
}

TEST_P(ProgramTest, NamesItsVariantsAndTakesAForcedOne) {
  for (const std::string name : {"portable", "narrow"}) {
    const std::unique_ptr<Device> device = open_with([&](DeviceOptions& o) { o.force_variant = name; });
    const Words x = random_words(123, 13);
    const std::shared_ptr<Buffer> y = poisoned(*device, x.size(), "y");
    DispatchList list;
    list.add(affine(buffer_of(*device, x, "x"), y, 3, 1));
    list.add(affine(buffer_of(*device, x, "x"), y, 5, 2));
    list.add(accumulate(buffer_of(*device, x, "x"), y));
    const std::unique_ptr<Program> program = record(*device, list);
    const std::vector<std::string> want = {"test_accumulate_u32__portable", "test_affine_u32__" + name};
    EXPECT_EQ(program->variants(), want);
    run(*device, *program, step_of(1, 0));
    const Words got = words_of(*device, y);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(got[i], 6 * x[i] + 2) << name << " " << i;
  }
}

TEST_P(ProgramTest, TimesEveryDispatchAndComputesTheSame) {
  const Words x = random_words(1003, 14);
  const HazardChain chain = {.x = buffer_of(*device_, x, "x"),
                             .a = poisoned(*device_, x.size(), "a"),
                             .b = poisoned(*device_, x.size(), "b"),
                             .y = poisoned(*device_, x.size(), "y")};
  DispatchList list;
  chain.append_to(list);
  const std::unique_ptr<Program> program = record(*device_, list);
  const std::vector<DispatchTiming> timings = device_->time_dispatches(*program, step_of(1, 0));
  EXPECT_EQ(words_of(*device_, chain.y), HazardChain::want(x));
  ASSERT_EQ(timings.size(), list.dispatches().size());
  for (size_t i = 0; i < timings.size(); ++i) {
    EXPECT_EQ(timings[i].label, list.dispatches()[i].label);
    EXPECT_TRUE(timings[i].kernel.starts_with(list.dispatches()[i].kernel->name)) << timings[i].kernel;
    EXPECT_TRUE(timings[i].seconds >= 0 && timings[i].seconds < 60) << timings[i].seconds;
  }
}

TEST_P(ProgramTest, AnEmptyListIsAProgram) {
  DispatchList list;
  const std::unique_ptr<Program> program = record(*device_, list);
  EXPECT_TRUE(program->variants().empty());
  for (int i = 0; i < 3; ++i) run(*device_, *program, step_of(1, 0));
}

INSTANTIATE_TEST_SUITE_P(Devices, ProgramTest, testing::ValuesIn(device_setups()), name_of_setup);

}  // namespace
}  // namespace nibble
