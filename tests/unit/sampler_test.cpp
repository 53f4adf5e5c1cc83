#include "host/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr int kDraws = 40'000;

// How often each token comes.
std::map<uint32_t, int> draw(const SamplerOptions& options, const std::vector<float>& logits) {
  Sampler sampler(options);
  std::map<uint32_t, int> counts;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.sample(logits)];
  return counts;
}

std::vector<float> log_of(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3.0));
  return logits;
}

// A binomial count within 5 standard deviations: 6e-7 of falling outside by chance, and the seed is fixed.
void expect_share(int count, double probability) {
  const double mean = kDraws * probability;
  const double tolerance = 5.0 * std::sqrt(kDraws * probability * (1.0 - probability)) + 1e-9;
  EXPECT_TRUE(std::abs(count - mean) <= tolerance) << count << ", expected " << mean << " ± " << tolerance;
}

std::vector<float> random_logits(size_t count, double spread, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = static_cast<float>(spread * rng.normal());
  return logits;
}

TEST(Sampler, TakesTheFirstGreatestAtTemperatureZero) {
  Sampler sampler({.temperature = 0.0});
  EXPECT_EQ(sampler.sample(std::vector<float>{-1.0f, 2.5f, 0.0f, 2.5f}), 1u);
  EXPECT_EQ(sampler.sample(std::vector<float>{-7.0f}), 0u);
}

TEST(Sampler, DrawsWithTheSoftmaxProbabilities) {
  const std::vector<double> p = {0.5, 0.2, 0.15, 0.1, 0.05};
  auto counts = draw({.seed = 1}, log_of(p));
  for (uint32_t token = 0; token < p.size(); ++token) expect_share(counts[token], p[token]);
}

TEST(Sampler, FlattensWithTemperature) {
  const std::vector<double> p = {0.64, 0.32, 0.04};
  auto counts = draw({.temperature = 2.0, .seed = 2}, log_of(p));
  const double total = std::sqrt(0.64) + std::sqrt(0.32) + std::sqrt(0.04);
  for (uint32_t token = 0; token < p.size(); ++token) expect_share(counts[token], std::sqrt(p[token]) / total);
}

TEST(Sampler, KeepsTheTopK) {
  auto counts = draw({.top_k = 2, .seed = 3}, log_of({0.1, 0.4, 0.2, 0.3}));
  ASSERT_EQ(counts.size(), 2u);
  expect_share(counts[1], 0.4 / 0.7);
  expect_share(counts[3], 0.3 / 0.7);
  EXPECT_EQ(draw({.top_k = 9, .seed = 3}, log_of({0.1, 0.4, 0.2, 0.3})).size(), 4u);
}

TEST(Sampler, KeepsTheFewestThatReachTopP) {
  const auto logits = log_of({0.1, 0.4, 0.2, 0.3});
  auto counts = draw({.top_p = 0.65, .seed = 4}, logits);
  ASSERT_EQ(counts.size(), 2u);
  expect_share(counts[1], 0.4 / 0.7);
  EXPECT_EQ(draw({.top_p = 0.75, .seed = 4}, logits).size(), 3u);
  EXPECT_EQ(draw({.top_p = 0.0, .seed = 4}, logits).size(), 1u);
}

TEST(Sampler, KeepsWhatReachesMinP) {
  const auto logits = log_of({0.1, 0.4, 0.21, 0.29});
  EXPECT_EQ(draw({.min_p = 0.5, .seed = 5}, logits).size(), 3u);
  EXPECT_EQ(draw({.min_p = 0.24, .seed = 5}, logits).size(), 4u);
  EXPECT_EQ(draw({.min_p = 1.0, .seed = 5}, logits).size(), 1u);
}

// Of four tokens top-k leaves 0.4 and 0.3, of which the first alone has 0.57: top-p 0.55 then keeps one.
TEST(Sampler, AppliesTopPToWhatTopKLeft) {
  const auto logits = log_of({0.1, 0.4, 0.2, 0.3});
  EXPECT_EQ(draw({.top_k = 2, .top_p = 0.55, .seed = 6}, logits).size(), 1u);
  EXPECT_EQ(draw({.top_p = 0.55, .seed = 6}, logits).size(), 2u);
}

TEST(Sampler, RepeatsItselfForASeed) {
  const auto logits = random_logits(1009, 2.5, 8);
  const auto tokens = [&](uint64_t seed) {
    Sampler sampler({.temperature = 0.8, .top_k = 100, .top_p = 0.95, .seed = seed});
    std::vector<uint32_t> drawn;
    for (int i = 0; i < 50; ++i) drawn.push_back(sampler.sample(logits));
    return drawn;
  };
  EXPECT_EQ(tokens(1), tokens(1));
  EXPECT_NE(tokens(1), tokens(2));
}

TEST(Sampler, GoesOnFromAState) {
  const auto logits = random_logits(1009, 2.5, 8);
  const auto draw_more = [&](Sampler& sampler) {
    std::vector<uint32_t> drawn;
    for (int i = 0; i < 20; ++i) drawn.push_back(sampler.sample(logits));
    return drawn;
  };
  Sampler sampler({.seed = 7});
  const SamplerState begin = sampler.state();
  const std::vector<uint32_t> first = draw_more(sampler);
  const SamplerState middle = sampler.state();
  const std::vector<uint32_t> second = draw_more(sampler);
  EXPECT_EQ(middle.seed, 7u);
  EXPECT_NE(middle, begin);
  ASSERT_NE(first, second);
  Sampler other({.seed = 8});
  other.resume(middle);
  EXPECT_EQ(other.state(), middle);
  EXPECT_EQ(draw_more(other), second);
  EXPECT_EQ(other.state(), sampler.state());
  Sampler greedy({.temperature = 0.0, .seed = 7});
  greedy.sample(logits);
  EXPECT_EQ(greedy.state(), begin) << "nothing is drawn at temperature 0";
}

// Against sorting everything, over a vocabulary of the real size.
TEST(Sampler, KeepsTheSameTokensAsAFullSort) {
  const auto logits = random_logits(129'280, 1.5, 9);
  std::vector<uint32_t> order(logits.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  double total = 0;
  for (const float logit : logits) total += std::exp(double{logit});
  std::set<uint32_t> allowed;
  double sum = 0;
  for (size_t i = 0; sum < 0.05 * total; ++i) {
    allowed.insert(order[i]);
    sum += std::exp(double{logits[order[i]]});
  }
  Sampler sampler({.top_p = 0.05, .seed = 10});
  std::set<uint32_t> seen;
  for (int i = 0; i < 60; ++i) seen.insert(sampler.sample(logits));
  EXPECT_TRUE(std::includes(allowed.begin(), allowed.end(), seen.begin(), seen.end()));
  EXPECT_GT(seen.size(), 20u);
}

TEST(Sampler, SurvivesExtremes) {
  const std::vector<float> logits = {-3e38f, 3e38f, 0.0f};
  EXPECT_EQ(Sampler({.temperature = 1e-9, .seed = 1}).sample(logits), 1u);
  EXPECT_EQ(Sampler({.temperature = 1e6, .top_k = 1}).sample(logits), 1u);
}

TEST(Sampler, RefusesWhatMakesNoSense) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, infinity, -infinity}) {
    for (const double temperature : {0.0, 1.0}) {
      Sampler sampler({.temperature = temperature});
      EXPECT_THROW(sampler.sample(std::vector<float>{0.0f, bad, 1.0f}), Error);
      EXPECT_THROW(sampler.sample(std::vector<float>{bad}), Error);
    }
  }
  EXPECT_THROW(Sampler({}).sample({}), Error);
  EXPECT_THROW(Sampler({.temperature = -0.1}), Error);
  EXPECT_THROW(Sampler({.temperature = std::nan("")}), Error);
  EXPECT_THROW(Sampler({.top_p = 1.5}), Error);
  EXPECT_THROW(Sampler({.min_p = -0.5}), Error);
}

}  // namespace
}  // namespace nibble
