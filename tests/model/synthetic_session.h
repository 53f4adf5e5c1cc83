// What tests of sessions share: a small random model on the device under test, and random tokens for it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/session.h"
#include "runtime/base/rng.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_devices.h"

namespace nibble {

class SyntheticSession : public testing::TestWithParam<TestDevice> {
 protected:
  // `changes` to synthetic_config(), without a block for speculation; one seed makes the weights, the other the tokens.
  SyntheticSession(const nlohmann::json& changes, uint64_t model_seed, uint64_t token_seed) : rng_(token_seed) {
    nlohmann::json config = synthetic_config();
    config["num_nextn_predict_layers"] = 0;
    config.update(changes);
    write_synthetic_model(directory_.path(), config.dump(), {.seed = model_seed});
    auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(directory_.path()));
    vocab_ = checkpoint->config().vocab_size;
    model_ = Model::load(std::shared_ptr<Device>(open_test_device(GetParam())), checkpoint);
  }

  std::vector<uint32_t> random_tokens(size_t count) {
    std::vector<uint32_t> tokens(count);
    for (uint32_t& token : tokens) token = rng_.below(vocab_);
    return tokens;
  }

  TempDirectory directory_;
  std::shared_ptr<Model> model_;
  uint32_t vocab_ = 0;
  Rng rng_;
};

}  // namespace nibble
