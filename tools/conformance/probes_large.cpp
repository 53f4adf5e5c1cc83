// Buffers beyond 2 and 4 GiB, or as large as the device gives: what goes wrong where an address takes more than 31
// bits.
#include <algorithm>

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

using Words = std::vector<uint32_t>;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kMost = 4096 * kMiB + kMiB;
constexpr uint64_t kLeast = 64 * kMiB;
constexpr uint32_t kPieceWords = 1024;  // written on either side of an edge
constexpr uint64_t kPiece = kPieceWords * 4;

struct FarParams {
  uint32_t n = 0;
  uint32_t seed = 0;
};

// As large as can be had, up to `most` and a quarter of the memory; null where that is nothing worth a probe.
std::shared_ptr<Buffer> allocate_large(Device& device, uint64_t most) {
  const DeviceLimits& limits = device.info().limits;
  uint64_t bytes = std::min({most, limits.max_allocation, limits.memory_bytes / 4, kMost}) / kMiB * kMiB;
  for (; bytes >= kLeast; bytes = bytes / 2 / kMiB * kMiB) {
    try {
      return device.allocate(bytes, "large");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kOutOfMemory) throw;
    }
  }
  return nullptr;
}

// Where pieces begin: on either side of every power of two from 64 MiB on, and at the end.
std::vector<uint64_t> pieces_of(uint64_t bytes) {
  std::vector<uint64_t> begins = {0};
  for (uint64_t edge = kLeast; edge <= bytes; edge *= 2) {
    begins.push_back(edge - kPiece);
    if (edge + kPiece <= bytes) begins.push_back(edge);
  }
  begins.push_back(bytes - kPiece);
  std::ranges::sort(begins);
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  return begins;
}

std::optional<std::string> compare_piece(Device& device, const BufferView& piece, uint32_t seed) {
  Words found(kPieceWords);
  device.download(piece, std::as_writable_bytes(std::span(found)));
  for (uint32_t i = 0; i < kPieceWords; ++i) {
    const auto index = static_cast<uint32_t>(piece.offset / 4 + i);
    if (found[i] == 3 * index + seed) continue;
    return fmt::format("word {} of {}: {:#010x}, want {:#010x}", index, format_bytes(piece.buffer->bytes()), found[i],
                       3 * index + seed);
  }
  return std::nullopt;
}

Words indices_of(uint64_t begin) {
  Words indices;
  for (uint32_t i = 0; i < kPieceWords; ++i) indices.push_back(static_cast<uint32_t>(begin / 4 + i));
  return indices;
}

Dispatch far_dispatch(const KernelSpec& spec, const BufferView& at, const BufferView& y, uint32_t seed) {
  return {.kernel = &spec,
          .params = pack_params(FarParams{.n = static_cast<uint32_t>(at.bytes / 4), .seed = seed}),
          .bindings = {at, y},
          .label = "far words"};
}

// All pieces are written first, so that one that lands on another shows.
std::optional<std::string> compare_all(Device& device, const std::shared_ptr<Buffer>& buffer, uint32_t seed) {
  for (const uint64_t begin : pieces_of(buffer->bytes())) {
    if (auto problem = compare_piece(device, {buffer, begin, kPiece}, seed)) return problem;
  }
  return std::nullopt;
}

// Views far behind the beginning of their buffer. An index counts from the view's own beginning: the seed makes up for
// it.
std::optional<std::string> run_far_views(Device& device, const KernelSpec& spec) {
  const std::shared_ptr<Buffer> buffer = allocate_large(device, UINT64_MAX);
  if (buffer == nullptr) return std::nullopt;
  const auto at = device.allocate(kPiece, "at");
  const Words indices = indices_of(0);
  device.upload(at, std::as_bytes(std::span(indices)));
  DispatchList list;
  for (const uint64_t begin : pieces_of(buffer->bytes())) {
    list.add(far_dispatch(spec, at, {buffer, begin, kPiece}, 3 * static_cast<uint32_t>(begin / 4) + 7));
  }
  const auto program = device.record(list);
  device.wait(device.submit(*program, {}));
  return compare_all(device, buffer, 7);
}

// One view of all that may be bound, written at far indices.
std::optional<std::string> run_far_words(Device& device, const KernelSpec& spec) {
  const std::shared_ptr<Buffer> buffer = allocate_large(device, device.info().limits.max_range);
  if (buffer == nullptr) return std::nullopt;
  Words indices;
  for (const uint64_t begin : pieces_of(buffer->bytes())) {
    const Words piece = indices_of(begin);
    indices.insert(indices.end(), piece.begin(), piece.end());
  }
  const auto at = device.allocate(indices.size() * 4, "at");
  device.upload(at, std::as_bytes(std::span(indices)));
  DispatchList list;
  list.add(far_dispatch(spec, at, buffer, 11));
  const auto program = device.record(list);
  device.wait(device.submit(*program, {}));
  return compare_all(device, buffer, 11);
}

Probe large_probe(std::string_view name, std::string_view fact, std::string_view symptom,
                  std::optional<std::string> (*run)(Device&, const KernelSpec&)) {
  KernelSpec spec = per_element({.name = name,
                                 .text = conformance_text("probes/far_words.kernel"),
                                 .formula = "y[at[i]] = 3·at[i] + seed",
                                 .bindings = {input("at", ElementType::kU32), output("y", ElementType::kU32)},
                                 .cases =
                                     [] {
                                       return std::vector<KernelCase>{{"largest", [](Rng&) { return CaseData{}; }}};
                                     },
                                 .reference = [](const CaseData&) { return std::vector<Expected>{}; },
                                 .more_params = {{"seed"}}});
  return {.spec = std::move(spec),
          .fact = fact,
          .symptom = symptom,
          .relied_on_by = {"*"},
          .run = run,
          .takes_much_memory = true};
}

}  // namespace

std::vector<Probe> large_probes() {
  return {large_probe("probe_far_views", "views begin where they say, however far that is into a buffer",
                      "large models give garbage where small ones are right", run_far_views),
          large_probe("probe_far_words", "elements of a binding are reached however far they are from its beginning",
                      "long contexts or large vocabularies give garbage", run_far_words)};
}

}  // namespace nibble::conformance
