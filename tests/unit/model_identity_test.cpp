#include "host/checkpoint/model_identity.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

class ModelIdentityTest : public testing::Test {
 protected:
  static std::string identity(const nlohmann::json& config, const std::vector<StoredTensor>& tensors,
                              size_t shards = 2) {
    const TempDirectory directory;
    write_checkpoint(directory.path(), config.dump(2), tensors, shards);
    return model_identity(Checkpoint::open(directory.path()));
  }

  const nlohmann::json config_ = synthetic_config();
  const std::vector<StoredTensor> tensors_ = stored_synthetic_tensors(ModelConfig::parse(config_.dump(), "config"));
  const std::string original_ = identity(config_, tensors_);
};

TEST_F(ModelIdentityTest, IsTheSameForTheSameModel) {
  EXPECT_EQ(original_.size(), 32u);
  EXPECT_EQ(identity(config_, tensors_), original_);
}

TEST_F(ModelIdentityTest, DoesNotDependOnHowTheModelIsStored) {
  EXPECT_EQ(identity(config_, tensors_, 5), original_);
  EXPECT_EQ(identity(config_, tensors_, 0), original_);
  std::vector<StoredTensor> renamed = tensors_;
  for (StoredTensor& tensor : renamed) tensor.name = "model." + tensor.name;
  std::swap(renamed.front(), renamed.back());
  EXPECT_EQ(identity(config_, renamed), original_);
  nlohmann::json noted = config_;
  noted["transformers_version"] = "9.9";
  EXPECT_EQ(identity(noted, tensors_), original_);
}

TEST_F(ModelIdentityTest, TellsEveryConfigFieldApart) {
  for (const char* field : {"rope_theta", "routed_scaling_factor", "rms_norm_eps", "hc_sinkhorn_iters", "index_topk"}) {
    SCOPED_TRACE(field);
    nlohmann::json changed = config_;
    if (changed[field].is_number_integer()) {
      changed[field] = changed[field].get<int>() + 1;
    } else {
      changed[field] = changed[field].get<double>() * 2;
    }
    EXPECT_NE(identity(changed, tensors_), original_);
  }
}

// One byte in the middle of a tensor, as the smallest fine-tuning.
TEST_F(ModelIdentityTest, TellsASiblingApartByAnyTensor) {
  for (size_t i = 0; i < tensors_.size(); i += 7) {
    SCOPED_TRACE(tensors_[i].name);
    std::vector<StoredTensor> tuned = tensors_;
    std::string& bytes = tuned[i].bytes;
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    EXPECT_NE(identity(config_, tuned), original_);
  }
}

TEST_F(ModelIdentityTest, TellsShapesAndDtypesApart) {
  std::vector<StoredTensor> changed = tensors_;
  changed.push_back({.name = "extra", .dtype = Dtype::kU8, .shape = {4}, .bytes = "abcd"});
  const std::string with_extra = identity(config_, changed);
  EXPECT_NE(with_extra, original_);
  changed.back().shape = {2, 2};
  const std::string other_shape = identity(config_, changed);
  EXPECT_NE(other_shape, with_extra);
  changed.back().dtype = Dtype::kI8;
  EXPECT_NE(identity(config_, changed), other_shape);
}

}  // namespace
}  // namespace nibble
