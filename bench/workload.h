// Workload: work that is timed, recorded on a device as programs that do the same on different data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device/device.h"

namespace nibble::bench {

// Written into every output before the first run: a NaN that no kernel produces.
inline constexpr uint32_t kPoison = 0x7fc0dead;

// f32 that a workload writes.
struct Output {
  BufferView view;
  bool replaced = true;  // written without having been read
};

struct Workload {
  std::vector<std::unique_ptr<Program>> programs;  // cold data: one after the other; warm: the first only
  std::vector<Output> outputs;                     // of the first program
  std::vector<uint32_t> step;
  uint64_t bytes = 0;  // that one run must move
  uint64_t flops = 0;

  // "wide", or "avx512_dot+avx512" where kernels differ.
  std::string variant() const;
};

// Gives every temporary of the list memory of its own, filled with kPoison: unlike plan_temporaries() nothing aliases,
// so that a part of the list can be run again and again. Returns their bytes.
uint64_t place_temporaries(Device& device, DispatchList& list);

// The f32 views that a dispatch writes. One that it may read as well counts as replaced if its param `accumulate` is 0.
std::vector<Output> written_floats(const Dispatch& dispatch);

// Poisons what is replaced, runs the first program and throws kDevice naming `what` where an output holds a NaN or an
// infinity, or poison: anywhere, or everywhere for kernels that write only a part (`partial`).
void check_outputs(Device& device, const Workload& workload, const std::string& what, bool partial = false);

// The cheapest useful dispatch: rounding 128 numbers. What it takes is what any dispatch takes before it does anything.
Workload empty_dispatch(Device& device);

}  // namespace nibble::bench
