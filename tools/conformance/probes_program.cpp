// What a program of several dispatches stands on: order, replays, transfers, views.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {

KernelSpec step_words_spec(std::string_view name);

std::vector<uint32_t> download(Device& device, const BufferView& view) {
  std::vector<uint32_t> words(view.bytes / 4);
  device.download(view, std::as_writable_bytes(std::span(words)));
  return words;
}

void run_step(Device& device, Program& program, const std::vector<uint32_t>& step) {
  device.wait(device.submit(program, step));
}

namespace {

using Problem = std::optional<std::string>;
using Words = std::vector<uint32_t>;

constexpr ElementType kU32 = ElementType::kU32;

struct AdvanceParams {
  uint32_t n = 0;
  uint32_t seed = 0;
};

std::vector<KernelCase> program_case() {
  return {{"program", [](Rng&) { return CaseData{}; }}};
}
std::vector<Expected> no_reference(const CaseData&) { return {}; }

// y[i] = 3·x[n-1-i] + seed
KernelSpec advance_spec(std::string_view name) {
  return per_element({.name = name,
                      .text = conformance_text("probes/advance.kernel"),
                      .formula = "y[i] = 3·x[n-1-i] + seed",
                      .bindings = {input("x", kU32), output("y", kU32)},
                      .cases = program_case,
                      .reference = no_reference,
                      .more_params = {{"seed"}}});
}

Words advanced(const Words& x, uint32_t seed) {
  Words y;
  for (size_t i = 0; i < x.size(); ++i) y.push_back(3 * x[x.size() - 1 - i] + seed);
  return y;
}

Dispatch advance_dispatch(const KernelSpec& spec, const BufferView& x, const BufferView& y, uint32_t seed) {
  const auto n = static_cast<uint32_t>(x.bytes / 4);
  return {.kernel = &spec,
          .params = pack_params(AdvanceParams{.n = n, .seed = seed}),
          .bindings = {x, y},
          .label = fmt::format("advance by {}", seed)};
}

void upload(Device& device, const BufferView& view, const Words& words) {
  device.upload(view, std::as_bytes(std::span(words)));
}

Problem compare(const Words& found, const Words& want, std::string_view what) {
  for (size_t i = 0; i < want.size(); ++i) {
    if (found[i] == want[i]) continue;
    return fmt::format("{}: [{}] = {:#010x}, want {:#010x}", what, i, found[i], want[i]);
  }
  return std::nullopt;
}

Words counting(size_t n, uint32_t factor) {
  Words words;
  for (size_t i = 0; i < n; ++i) words.push_back(static_cast<uint32_t>(i) * factor + 1);
  return words;
}

// Twenty dispatches, each reading at the far end what the one before wrote: more than one command buffer of them.
Problem run_chain(Device& device, const KernelSpec& spec) {
  constexpr size_t kWords = 40000;
  const auto x = device.allocate(kWords * 4, "chain.x");
  const auto y = device.allocate(kWords * 4, "chain.y");
  Words words = counting(kWords, 2654435761u);
  upload(device, x, words);
  DispatchList list;
  for (uint32_t i = 0; i < 20; ++i) {
    list.add(i % 2 == 0 ? advance_dispatch(spec, x, y, i) : advance_dispatch(spec, y, x, i));
    words = advanced(words, i);
  }
  const auto program = device.record(list);
  run_step(device, *program);
  return compare(download(device, x), words, "after 20 dispatches");
}

// The last of several dispatches that write the same memory wins; nothing in between reads.
Problem run_overwrite(Device& device, const KernelSpec& spec) {
  constexpr size_t kWords = 30000;
  const auto x = device.allocate(kWords * 4, "overwrite.x");
  const auto y = device.allocate(kWords * 4, "overwrite.y");
  const Words words = counting(kWords, 97);
  upload(device, x, words);
  DispatchList list;
  for (uint32_t i = 0; i < 6; ++i) list.add(advance_dispatch(spec, x, y, i));
  const auto program = device.record(list);
  for (int repeat = 0; repeat < 3; ++repeat) {
    device.fill(y, 0);
    run_step(device, *program);
    if (const Problem problem = compare(download(device, y), advanced(words, 5), "after 6 dispatches")) return problem;
  }
  return std::nullopt;
}

// One recorded program, steps of different lengths, 0 among them: grid, words and position are of the last submit.
Problem run_replay(Device& device, const KernelSpec& spec) {
  constexpr uint32_t kMost = 300;
  const auto y = device.allocate(kMost * 4, "replay.y");
  DispatchList list;
  list.set_step_words(kStepHeaderWords + kMost);
  list.add({.kernel = &spec, .params = {}, .bindings = {y}, .label = "step words", .rows = kMost});
  const auto program = device.record(list);
  Words held(kMost, 0);
  device.fill(y, 0);
  uint32_t position = 0;
  for (const uint32_t tokens : {1u, 300u, 0u, 7u, 130u, 1u}) {
    const Words extra = counting(tokens, 7919 + position);
    run_step(device, *program, spec::step_words({.n_tokens = tokens, .position = position}, extra));
    for (uint32_t t = 0; t < tokens; ++t) held[t] = extra[t] + 1000 * position;
    const auto what = fmt::format("step of {} tokens at position {}", tokens, position);
    if (const Problem problem = compare(download(device, y), held, what)) return problem;
    position += tokens + 1;
  }
  return std::nullopt;
}

// Views of one buffer, as close together as the device's alignment lets them be.
Problem run_views(Device& device, const KernelSpec& spec) {
  constexpr uint32_t kViews = 24;
  const uint64_t stride = std::max<uint64_t>(device.info().limits.offset_alignment, 16);
  const uint64_t words_per_view = stride / 4;
  const auto x = device.allocate(kViews * stride, "views.x");
  const auto y = device.allocate(kViews * stride, "views.y");
  const Words words = counting(kViews * words_per_view, 40503);
  upload(device, x, words);
  device.fill(y, 0);
  DispatchList list;
  Words want;
  for (uint32_t v = 0; v < kViews; ++v) {
    // All but the last word, so that a view that ends too late shows.
    const uint64_t bytes = v % 2 == 0 ? stride : stride - 4;
    list.add(advance_dispatch(spec, {x, v * stride, bytes}, {y, v * stride, bytes}, v));
    const auto begin = words.begin() + static_cast<ptrdiff_t>(v * words_per_view);
    for (const uint32_t word : advanced({begin, begin + static_cast<ptrdiff_t>(bytes / 4)}, v)) want.push_back(word);
    if (bytes < stride) want.push_back(0);
  }
  const auto program = device.record(list);
  run_step(device, *program);
  return compare(download(device, y), want, fmt::format("views of {} bytes", stride));
}

// Uploads, fills and downloads of odd numbers of words, with what surrounds them.
Problem run_transfers(Device& device, const KernelSpec&) {
  constexpr size_t kWords = 5000;
  const auto buffer = device.allocate(kWords * 4, "transfers");
  Words want = counting(kWords, 31);
  upload(device, buffer, want);
  uint32_t value = 0xabcd0000u;
  for (const auto& [begin, count] : {std::pair<size_t, size_t>{0, 1}, {3, 5}, {17, 1023}, {2000, 2999}, {4999, 1}}) {
    ++value;
    device.fill({buffer, begin * 4, count * 4}, value);
    std::fill_n(want.begin() + static_cast<ptrdiff_t>(begin), count, value);
    const auto what = fmt::format("fill of {} words from word {}", count, begin);
    if (const Problem problem = compare(download(device, buffer), want, what)) return problem;
    const Words piece = counting(count / 2 + 1, value);
    upload(device, {buffer, begin * 4, piece.size() * 4}, piece);
    std::copy(piece.begin(), piece.end(), want.begin() + static_cast<ptrdiff_t>(begin));
    const auto copied = fmt::format("upload of {} words to word {}", piece.size(), begin);
    if (const Problem problem = compare(download(device, buffer), want, copied)) return problem;
  }
  return std::nullopt;
}

// A small program over and over: what goes wrong once in a thousand times.
Problem run_repeats(Device& device, const KernelSpec& spec) {
  constexpr size_t kWords = 192;
  const auto x = device.allocate(kWords * 4, "repeats.x");
  const auto y = device.allocate(kWords * 4, "repeats.y");
  const Words words = counting(kWords, 2246822519u);
  upload(device, x, words);
  DispatchList list;
  list.add(advance_dispatch(spec, x, y, 11));
  const auto program = device.record(list);
  const Words want = advanced(words, 11);
  for (int repeat = 0; repeat < 3000; ++repeat) {
    run_step(device, *program);
    const auto what = fmt::format("repetition {}", repeat);
    if (const Problem problem = compare(download(device, y), want, what)) return problem;
    if (repeat % 500 == 0) device.fill(y, 0);
  }
  return std::nullopt;
}

// The longest grid of one dimension that every device has, and one workgroup beyond the first row of a second.
Problem run_large_grid(Device& device, const KernelSpec& spec) {
  const uint32_t workgroups = device.info().limits.max_workgroup_count[0] < 65535 ? 4096 : 65535;
  const size_t words = size_t{workgroups} * 64;
  const auto x = device.allocate(words * 4, "grid.x");
  const auto y = device.allocate(words * 4, "grid.y");
  const Words content = counting(words, 69621);
  upload(device, x, content);
  device.fill(y, 0);
  DispatchList list;
  list.add(advance_dispatch(spec, x, y, 5));
  const auto program = device.record(list);
  run_step(device, *program);
  return compare(download(device, y), advanced(content, 5), fmt::format("{} workgroups", workgroups));
}

Probe program_probe(KernelSpec spec, std::string_view fact, std::string_view symptom,
                    Problem (*run)(Device&, const KernelSpec&)) {
  return {.spec = std::move(spec), .fact = fact, .symptom = symptom, .relied_on_by = {"*"}, .run = run};
}

}  // namespace

std::vector<Probe> program_probes() {
  KernelSpec replay = step_words_spec("probe_replay");
  replay.cases = program_case;
  return {
      program_probe(advance_spec("probe_dispatch_chain"), "a dispatch sees what the one before it wrote",
                    "every model gives garbage, or other text in every run", run_chain),
      program_probe(advance_spec("probe_overwrite"), "of several dispatches that write the same memory the last wins",
                    "activations that share memory are mixed up", run_overwrite),
      program_probe(std::move(replay), "a program that is replayed uses the step words and grids of its last submit",
                    "the first token is right and the next ones are garbage", run_replay),
      program_probe(advance_spec("probe_views"),
                    "views at the device's smallest alignment begin and end where they say",
                    "tensors that share a buffer are mixed up", run_views),
      program_probe(advance_spec("probe_transfers"),
                    "uploads, fills and downloads touch the words they name, all of them",
                    "the last weights of a tensor are missing", run_transfers),
      program_probe(advance_spec("probe_repeats"), "the same program gives the same bits 3000 times",
                    "a conversation goes astray after some thousand tokens", run_repeats),
      program_probe(advance_spec("probe_large_grid"), "a grid of 65,535 workgroups runs all of them",
                    "large vocabularies and long prompts are cut short", run_large_grid)};
}

}  // namespace nibble::conformance
