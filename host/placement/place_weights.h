// Bringing a model's weights to a device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "host/checkpoint/weights.h"
#include "host/layers/device_weights.h"
#include "runtime/device/device.h"

namespace nibble {

// Called while weights are brought to the device: bytes done of total.
using LoadProgress = std::function<void(uint64_t done, uint64_t total)>;

// `keep_alive` owns the mapped files.
DeviceWeights place_weights(Device& device, const ModelWeights& weights, std::shared_ptr<const void> keep_alive,
                            const LoadProgress& progress);

}  // namespace nibble
