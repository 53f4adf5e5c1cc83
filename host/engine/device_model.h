// DeviceModel: what Model::load() makes, with what sessions need of it.
#pragma once

#include <memory>
#include <string>

#include "host/engine/session.h"
#include "host/layers/device_weights.h"

namespace nibble {

class DeviceModel final : public Model {
 public:
  DeviceModel(std::shared_ptr<Device> device, std::shared_ptr<const Checkpoint> checkpoint,
              const LoadProgress& progress);

  Device& device() override { return *device_; }
  const ModelConfig& config() const override { return checkpoint_->config(); }
  bool has_mtp() const override { return weights_.mtp.has_value(); }
  uint64_t device_bytes() const override { return weights_.device_bytes; }
  const DeviceWeights& weights() const { return weights_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }

  // Of the checkpoint's files, for saved sessions; throws kInternal for a model that lies in memory.
  const std::string& identity() const;

 private:
  std::shared_ptr<Device> device_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  DeviceWeights weights_;
  std::string identity_;
};

}  // namespace nibble
