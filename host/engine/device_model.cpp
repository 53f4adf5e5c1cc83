#include "host/engine/device_model.h"

#include "host/checkpoint/model_identity.h"
#include "host/placement/place_weights.h"
#include "runtime/base/error.h"

namespace nibble {

DeviceModel::DeviceModel(std::shared_ptr<Device> device, std::shared_ptr<const Checkpoint> checkpoint,
                         const LoadProgress& progress)
    : device_(std::move(device)), checkpoint_(std::move(checkpoint)) {
  weights_ = place_weights(*device_, load_weights(*checkpoint_, config()), checkpoint_, progress);
  // A checkpoint that is moved or damaged later must not keep a session from being saved.
  if (!checkpoint_->shards().empty()) identity_ = model_identity(*checkpoint_);
}

const std::string& DeviceModel::identity() const {
  check(!identity_.empty(), "a model that lies in memory has no identity to save a session with");
  return identity_;
}

std::shared_ptr<Model> Model::load(std::shared_ptr<Device> device, std::shared_ptr<const Checkpoint> checkpoint,
                                   const LoadProgress& progress) {
  return std::make_shared<DeviceModel>(std::move(device), std::move(checkpoint), progress);
}

}  // namespace nibble
