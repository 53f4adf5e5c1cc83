// What tests of sessions share: a small random model on the device under test, and random tokens for it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/engine/session.h"
#include "runtime/base/rng.h"
#include "tests/model/session_kind.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {

// Small steps, and slabs of some 30 entries, so that growing and copying on write happen.
inline SessionOptions small_steps(const SessionKind& kind) {
  return {.context = 400, .chunk = 16, .mtp = kind.mtp_ratio.has_value(), .snapshot_every = 40, .kv_slab_bytes = 4096};
}

// `ratios` are those of the trunk's layers.
inline std::shared_ptr<const Checkpoint> synthetic_checkpoint(const TempDirectory& directory, const SessionKind& kind,
                                                              std::vector<uint32_t> ratios, uint64_t seed) {
  nlohmann::json config = synthetic_config();
  config["num_nextn_predict_layers"] = kind.mtp_ratio ? 1 : 0;
  if (kind.mtp_ratio) ratios.push_back(*kind.mtp_ratio);
  config["compress_ratios"] = ratios;
  write_synthetic_model(directory.path(), config.dump(), {.seed = seed});
  return std::make_shared<const Checkpoint>(Checkpoint::open(directory.path()));
}

inline std::shared_ptr<Model> model_on(const TestDevice& device, const std::shared_ptr<const Checkpoint>& checkpoint) {
  return Model::load(std::shared_ptr<Device>(open_test_device(device)), checkpoint);
}

class SyntheticSession : public testing::TestWithParam<SessionKind> {
 protected:
  // One seed makes the weights, the other the tokens.
  SyntheticSession(std::vector<uint32_t> ratios, uint64_t model_seed, uint64_t token_seed)
      : checkpoint_(synthetic_checkpoint(directory_, GetParam(), std::move(ratios), model_seed)),
        vocab_(checkpoint_->config().vocab_size),
        model_(model_on(GetParam().device, checkpoint_)),
        rng_(token_seed) {}

  std::vector<uint32_t> random_tokens(size_t count) {
    std::vector<uint32_t> tokens(count);
    for (uint32_t& token : tokens) token = rng_.below(vocab_);
    return tokens;
  }

  TempDirectory directory_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  uint32_t vocab_ = 0;
  std::shared_ptr<Model> model_;
  Rng rng_;
};

}  // namespace nibble
