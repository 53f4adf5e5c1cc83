// Device: the interface that a backend implements. A device and everything made by it belong to one thread at a time.
// A lost device throws kDevice from submit/wait and from every call after.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/buffer.h"
#include "runtime/core/device_info.h"
#include "runtime/core/dispatch_list.h"
#include "runtime/core/source_assembler.h"

namespace nibble {

// A DispatchList bound to a device: immutable, replayed any number of times; a replay allocates, compiles and maps
// nothing. Keeps its buffers alive. Must not outlive the device.
class Program {
 public:
  virtual ~Program() = default;
  // One line per dispatch kernel used: "gemm_fp8_f32__portable" (sorted, unique), for reports.
  virtual std::vector<std::string> variants() const = 0;
};

// Number of a submission; submissions of one device finish in order.
using Ticket = uint64_t;

struct DispatchTiming {
  std::string label;
  std::string kernel;  // qualified name of the variant
  double seconds = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceInfo& info() const = 0;

  // Content is undefined (tests poison it). Throws kOutOfMemory / kUnsupported above the device's limits.
  virtual std::shared_ptr<Buffer> allocate(uint64_t bytes, std::string label) = 0;
  // A buffer outside the device's own memory, which kernels reach over the bus, slower: in the host's memory, or in an
  // unnamed file in `directory` unless that is empty. It does not count against memory_bytes. Throws as allocate()
  // does; kUnsupported for a file without Capability::kHostImport; kNotFound and kIo where there can be no such file.
  virtual std::shared_ptr<Buffer> allocate_outside(uint64_t bytes, std::string label, const std::string& directory) = 0;
  // A read-only buffer over host memory that stays valid as long as `keep_alive`; only with Capability::kHostMemory.
  virtual std::shared_ptr<Buffer> wrap_host(std::span<const std::byte> memory, std::shared_ptr<const void> keep_alive,
                                            std::string label) = 0;

  // Copies take place in the order of submissions. `from` is read and `to` written when these return; an upload or a
  // fill may still be under way then, and its failure comes with a later call.
  virtual void upload(const BufferView& to, std::span<const std::byte> from) = 0;
  virtual void download(const BufferView& from, std::span<std::byte> to) = 0;
  virtual void fill(const BufferView& to, uint32_t word) = 0;

  // Compiles all kernels the list needs and records it. Variants are chosen by choose_variant() unless the options of
  // the device force one. The list must have been planned (no TemporaryBuffer left).
  virtual std::unique_ptr<Program> record(const DispatchList& list) = 0;
  // `step` has at most list.step_words() words; its header decides the grids.
  virtual Ticket submit(Program& program, std::span<const uint32_t> step) = 0;
  virtual void wait(Ticket ticket) = 0;

  // Runs the program once with every dispatch timed by itself (device timestamps where there are any).
  virtual std::vector<DispatchTiming> time_dispatches(Program& program, std::span<const uint32_t> step) = 0;
};

}  // namespace nibble
