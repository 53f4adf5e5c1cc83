// The cpu backend: kernels are C++ functions over ranges of work items, run one dispatch after the other, each spread
// over a thread pool. Weights are used where they lie (wrap_host), without a copy.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <set>

#include "runtime/base/error.h"
#include "runtime/base/host_memory.h"
#include "runtime/base/log.h"
#include "runtime/base/processors.h"
#include "runtime/base/scratch_file.h"
#include "runtime/base/thread_pool.h"
#include "runtime/core/kernel_table.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/cpu/cpu_kernel.h"
#include "runtime/device/backend.h"

namespace nibble {
namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest SIMD load

class OwnedBuffer final : public Buffer {
 public:
  OwnedBuffer(uint64_t bytes, std::string label)
      : Buffer(bytes, std::move(label)),
        data_(static_cast<std::byte*>(
            std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment))) {
    if (data_ == nullptr) {
      fail(ErrorCode::kOutOfMemory, "cpu: {} for '{}' cannot be allocated", format_bytes(bytes), this->label());
    }
  }
  ~OwnedBuffer() override { std::free(data_); }
  std::byte* host_data() override { return data_; }

 private:
  std::byte* data_;
};

class FileBuffer final : public Buffer {
 public:
  FileBuffer(uint64_t bytes, std::string label, const std::string& directory)
      : Buffer(bytes, std::move(label)), file_(directory, bytes) {}
  std::byte* host_data() override { return file_.bytes().data(); }

 private:
  ScratchFile file_;
};

class WrappedBuffer final : public Buffer {
 public:
  WrappedBuffer(std::span<const std::byte> memory, std::shared_ptr<const void> keep_alive, std::string label)
      : Buffer(memory.size(), std::move(label)), memory_(memory), keep_alive_(std::move(keep_alive)) {}
  // Kernels get one pointer type for reading and writing; DispatchList bindings of wrapped memory are read-only.
  std::byte* host_data() override { return const_cast<std::byte*>(memory_.data()); }

 private:
  std::span<const std::byte> memory_;
  std::shared_ptr<const void> keep_alive_;
};

struct CpuStep {
  const CpuKernel* kernel = nullptr;
  std::vector<CpuBinding> bindings;
  size_t step_binding = SIZE_MAX;
};

class CpuProgram final : public Program {
 public:
  std::vector<std::string> variants() const override {
    std::set<std::string> names;
    for (const CpuStep& step : steps) names.insert(fmt::format("{}__{}", step.kernel->kernel, step.kernel->variant));
    return {names.begin(), names.end()};
  }

  std::vector<Dispatch> dispatches;  // own the buffers and params
  std::vector<CpuStep> steps;
  std::vector<uint32_t> step_words;
};

std::span<std::byte> bytes_of(const BufferView& view) {
  std::byte* data = view.buffer->host_data();
  check(data != nullptr, "cpu: buffer '{}' does not belong to the cpu device", view.buffer->label());
  return {data + view.offset, view.bytes};
}

class CpuDevice final : public Device {
 public:
  CpuDevice(DeviceInfo info, const DeviceOptions& options)
      : info_(std::move(info)),
        force_variant_(options.force_variant),
        isa_(cpu_isa_of(info_.capabilities)),
        pool_(info_.compute_units) {
    info_.compute_units = static_cast<uint32_t>(pool_.size());
  }

  const DeviceInfo& info() const override { return info_; }

  std::shared_ptr<Buffer> allocate(uint64_t bytes, std::string label) override {
    check_allocation(bytes, label);
    return std::make_shared<OwnedBuffer>(bytes, std::move(label));
  }

  std::shared_ptr<Buffer> allocate_outside(uint64_t bytes, std::string label, const std::string& directory) override {
    check_allocation(bytes, label);
    if (directory.empty()) return std::make_shared<OwnedBuffer>(bytes, std::move(label));
    if (!info_.capabilities.has(Capability::kHostImport)) {
      fail(ErrorCode::kUnsupported, "cpu: '{}' cannot lie in a file without host_import", label);
    }
    return std::make_shared<FileBuffer>(bytes, std::move(label), directory);
  }

  std::shared_ptr<Buffer> wrap_host(std::span<const std::byte> memory, std::shared_ptr<const void> keep_alive,
                                    std::string label) override {
    return std::make_shared<WrappedBuffer>(memory, std::move(keep_alive), std::move(label));
  }

  void upload(const BufferView& to, std::span<const std::byte> from) override {
    check(from.size() <= to.bytes, "upload of {} bytes to a view of {} of buffer '{}'", from.size(), to.bytes,
          to.buffer->label());
    std::copy(from.begin(), from.end(), bytes_of(to).begin());
  }
  void download(const BufferView& from, std::span<std::byte> to) override {
    check(to.size() <= from.bytes, "download of {} bytes from a view of {} of buffer '{}'", to.size(), from.bytes,
          from.buffer->label());
    const std::span<std::byte> source = bytes_of(from).first(to.size());
    std::copy(source.begin(), source.end(), to.begin());
  }
  void fill(const BufferView& to, uint32_t word) override {
    const std::span<std::byte> target = bytes_of(to);
    check(target.size() % 4 == 0, "fill of {} bytes, not a multiple of 4", target.size());
    for (size_t i = 0; i < target.size(); i += 4) std::memcpy(target.data() + i, &word, 4);
  }

  std::unique_ptr<Program> record(const DispatchList& list) override {
    auto program = std::make_unique<CpuProgram>();
    program->dispatches.assign(list.dispatches().begin(), list.dispatches().end());
    program->step_words.resize(list.step_words());
    for (const Dispatch& dispatch : program->dispatches) program->steps.push_back(bind(dispatch));
    return program;
  }

  Ticket submit(Program& program, std::span<const uint32_t> step) override {
    auto& cpu_program = static_cast<CpuProgram&>(program);
    load_step(cpu_program, step);
    for (size_t i = 0; i < cpu_program.steps.size(); ++i) run(cpu_program, i);
    return ++tickets_;
  }
  void wait(Ticket) override {}

  std::vector<DispatchTiming> time_dispatches(Program& program, std::span<const uint32_t> step) override {
    auto& cpu_program = static_cast<CpuProgram&>(program);
    load_step(cpu_program, step);
    std::vector<DispatchTiming> timings;
    for (size_t i = 0; i < cpu_program.steps.size(); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      run(cpu_program, i);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
      const CpuKernel& kernel = *cpu_program.steps[i].kernel;
      timings.push_back({.label = cpu_program.dispatches[i].label,
                         .kernel = fmt::format("{}__{}", kernel.kernel, kernel.variant),
                         .seconds = taken.count()});
    }
    return timings;
  }

 private:
  void check_allocation(uint64_t bytes, const std::string& label) const {
    if (bytes <= info_.limits.max_allocation) return;
    fail(ErrorCode::kOutOfMemory, "cpu: {} for '{}' is above the limit of {} for one allocation", format_bytes(bytes),
         label, format_bytes(info_.limits.max_allocation));
  }

  static void load_step(CpuProgram& program, std::span<const uint32_t> step) {
    check(step.size() <= program.step_words.size(), "a step of {} words for a program of {}", step.size(),
          program.step_words.size());
    std::copy(step.begin(), step.end(), program.step_words.begin());
  }

  const CpuKernel& choose(std::string_view name) const {
    const CpuKernel* best = nullptr;
    for (const CpuKernel& kernel : cpu_kernels_of(name)) {
      if (kernel.isa > isa_) continue;
      if (kernel.variant == force_variant_) return kernel;
      best = &kernel;  // listed from the simplest to the fastest
    }
    if (best == nullptr) fail(ErrorCode::kUnsupported, "kernel '{}' has no implementation for the cpu", name);
    return *best;
  }

  CpuStep bind(const Dispatch& dispatch) const {
    CpuStep step;
    step.kernel = &choose(dispatch.kernel->name);
    size_t next = 0;
    for (size_t i = 0; i < dispatch.kernel->bindings.size(); ++i) {
      CpuBinding bound;
      if (dispatch.kernel->bindings[i].kind == BindingKind::kStep) {
        step.step_binding = i;
      } else {
        const Binding& binding = dispatch.bindings[next++];
        for (const BufferView& view : binding.views) bound.views.push_back(bytes_of(view).data());
        bound.items_per_slab = binding.items_per_slab;
      }
      step.bindings.push_back(std::move(bound));
    }
    return step;
  }

  void run(CpuProgram& program, size_t index) {
    const CpuStep& step = program.steps[index];
    CpuArgs args{.bindings = step.bindings,
                 .params = program.dispatches[index].params,
                 .step = read_step_header(program.step_words),
                 .step_words = program.step_words};
    const CpuKernel& kernel = *step.kernel;
    if (kernel.prepare != nullptr) {
      args.scratch = scratch(kernel.scratch_bytes(args));
      run_items(kernel.prepare_items(args), kernel.prepare_grain, kernel.prepare, args);
    }
    run_items(kernel.items(args), 1, kernel.run, args);
  }

  void run_items(uint64_t items, uint64_t least, void (*body)(const CpuArgs&, uint64_t, uint64_t),
                 const CpuArgs& args) {
    // Sixteen pieces a thread: a core that other work slows down holds the others up by 6 % at most, and taking a piece
    // costs less than 0.1 us.
    const uint64_t grain = std::max(least, items / (pool_.size() * 16));
    pool_.parallel_for(items, grain, [&](size_t begin, size_t end) { body(args, begin, end); });
  }

  // Grows to what the largest step so far needed; only the first such step allocates.
  std::span<std::byte> scratch(uint64_t bytes) {
    if (scratch_ == nullptr || scratch_->bytes() < bytes) scratch_ = std::make_shared<OwnedBuffer>(bytes, "scratch");
    return {scratch_->host_data(), bytes};
  }

  DeviceInfo info_;
  std::string force_variant_;
  CpuIsa isa_;
  ThreadPool pool_;
  std::shared_ptr<OwnedBuffer> scratch_;
  Ticket tickets_ = 0;
};

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

// As many as were asked for, but no more than there are processors: others would only wait for each other.
uint32_t threads_for(uint32_t asked, const Processors& processors) {
  const auto usable = static_cast<uint32_t>(processors.usable);
  return asked == 0 ? usable : std::min(asked, usable);
}

std::string describe_threads(uint32_t asked, const Processors& processors) {
  const uint32_t threads = threads_for(asked, processors);
  return fmt::format("{} thread{} ({}{})", threads, threads == 1 ? "" : "s", describe(processors),
                     asked == 0 ? "" : fmt::format("; --threads {}", asked));
}

DeviceInfo describe_cpu(const DeviceOptions& options) {
  const HostMemory memory = total_host_memory();
  const Processors processors = usable_processors();
  DeviceInfo info{.id = "cpu",
                  .backend = BackendKind::kCpu,
                  .type = DeviceType::kCpu,
                  .name = processor_name(),
                  .driver = "nibble",
                  .api_version = ""};
  info.compute_units = threads_for(options.threads, processors);
  info.limits = {.max_range = memory.bytes,
                 .max_allocation = memory.bytes,
                 .memory_bytes = memory.bytes,
                 .max_storage_bindings = 1u << 20,  // pointers: a list as long as there are experts
                 .offset_alignment = 64,
                 .max_params_bytes = 4096,
                 .max_workgroup_size = 1u << 20,
                 .max_workgroup_memory = 1u << 20};
  info.capabilities = capabilities_of(detect_cpu_isa());
  for (const Capability c : {Capability::kHostMemory, Capability::kTimestamps, Capability::kHostImport}) {
    info.capabilities.add(c);
  }
  for (const std::string& limit : options.limits) apply_limit(info, limit);
  for (const Capability c : options.disabled) info.capabilities.remove(c);
  // Without one instruction set those built on it are gone too.
  const CpuIsa isa = cpu_isa_of(info.capabilities);
  for (const Capability c : {Capability::kAvx2, Capability::kAvx512, Capability::kAvx512Dot}) {
    if (!capabilities_of(isa).has(c)) info.capabilities.remove(c);
  }
  info.driver_version = name_of(isa);
  info.notes.push_back(describe_threads(options.threads, processors));
  if (!memory.reason.empty()) {
    info.notes.push_back(fmt::format("{} of memory: {}", format_bytes(memory.bytes), memory.reason));
  }
  return info;
}

void warn_of_surplus_threads(uint32_t asked) {
  const Processors processors = usable_processors();
  if (asked <= processors.usable) return;
  warn("--threads {} is more than there are processors ({}); {} are used", asked, describe(processors),
       processors.usable);
}

class CpuBackend final : public Backend {
 public:
  BackendKind kind() const override { return BackendKind::kCpu; }
  std::vector<DeviceInfo> list(const DeviceOptions& options) override { return {describe_cpu(options)}; }
  std::unique_ptr<Device> open(size_t, const DeviceOptions& options) override {
    warn_of_surplus_threads(options.threads);
    return std::make_unique<CpuDevice>(describe_cpu(options), options);
  }
};

}  // namespace

Backend& cpu_backend() {
  static CpuBackend backend;
  return backend;
}

}  // namespace nibble
