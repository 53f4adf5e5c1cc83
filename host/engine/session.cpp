#include "host/engine/session.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "host/engine/device_model.h"
#include "host/engine/non_finite.h"
#include "host/kv/session_history.h"
#include "host/kv/session_store.h"
#include "host/layers/model_programs.h"
#include "runtime/base/error.h"
#include "runtime/base/mapping_guard.h"

namespace nibble {
namespace {

template <typename T>
std::vector<T> read(Device& device, const BufferView& view, size_t count) {
  std::vector<T> values(count);
  device.download(view, std::as_writable_bytes(std::span<T>(values)));
  return values;
}

class DeviceSession final : public Session {
 public:
  DeviceSession(std::shared_ptr<DeviceModel> model, const SessionOptions& options)
      : model_(std::move(model)),
        options_(options),
        kv_(model_->device(), model_->config(), options_.kv()),
        writer_(model_->config()) {}

  // A fork: `kv` is a copy of the original's.
  DeviceSession(const DeviceSession& original, KvCache kv)
      : model_(original.model_),
        options_(original.options_),
        kv_(std::move(kv)),
        writer_(model_->config()),
        history_(original.history_) {}

  void feed(std::span<const uint32_t> tokens, const LogitsSink& sink) override {
    check_tokens(tokens);
    mend();
    if (tokens.size() > 1) take_snapshot();  // where a turn of a conversation begins
    size_t done = 0;
    while (done < tokens.size()) {
      between_pieces();
      const size_t count = std::min<size_t>(options_.chunk - position() % options_.chunk, tokens.size() - done);
      const bool last = done + count == tokens.size();
      run_chunk(tokens.subspan(done, count), options_.all_logits ? count : last ? 1 : 0, sink, mtp_sink_);
      if (options_.snapshot_every != 0 && position() >= history_.last_snapshot() + options_.snapshot_every) {
        take_snapshot();
      }
      done += count;
      if (on_progress) on_progress(static_cast<uint32_t>(done), static_cast<uint32_t>(tokens.size()));
    }
  }

  std::vector<DispatchProfile> profile(std::span<const uint32_t> tokens) override {
    check_tokens(tokens);
    if (tokens.empty() || tokens.size() > options_.chunk) {
      fail(ErrorCode::kUsage, "a profile of {} tokens, a chunk has 1 to {}", tokens.size(), options_.chunk);
    }
    mend();
    std::vector<DispatchTiming> timings;
    StepHeader header;
    const ModelProgram& program = run_step(tokens, 1, mtp_sink_, [&](Program& trunk, const auto& words) {
      timings = model_->device().time_dispatches(trunk, words);
      header = read_step_header(words);
    });
    check(timings.size() == program.dispatches.size(), "{} dispatches timed of {}", timings.size(),
          program.dispatches.size());
    std::vector<DispatchProfile> profiles;
    for (size_t i = 0; i < timings.size(); ++i) {
      const CostedDispatch& dispatch = program.dispatches[i];
      const bool counted = dispatch.kernel->cost != nullptr;
      profiles.push_back({.label = timings[i].label,
                          .kernel = timings[i].kernel,
                          .seconds = timings[i].seconds,
                          .cost = counted ? dispatch.kernel->cost(dispatch.params, header) : Cost{}});
    }
    return profiles;
  }

  void set_mtp_sink(LogitsSink sink) override { mtp_sink_ = std::move(sink); }
  uint32_t position() const override { return history_.position(); }
  std::span<const uint32_t> tokens() const override { return history_.tokens(); }

  void rewind(uint32_t target) override {
    if (target > position()) fail(ErrorCode::kUsage, "rewind to position {} of {}", target, position());
    if (target < position()) compute_anew(target);
    mend();
  }

  std::unique_ptr<Session> fork() override {
    mend();
    return std::make_unique<DeviceSession>(*this, kv_.fork());
  }

  void save(const std::string& path, std::string_view note) override {
    refuse_window_only("save");
    mend();
    write_session(path, file_content(note), kv_, history_);
  }

  // Before anything was fed.
  void load(const std::string& path, std::string* note) {
    refuse_window_only("load");
    history_ = read_session(path, file_content({}), kv_, note);
  }

  const SessionOptions& options() const override { return options_; }
  uint64_t kv_bytes() const override { return kv_.bytes(); }
  KvTierBytes kv_tier_bytes() const override { return kv_.tier_bytes(); }

  uint64_t scratch_bytes() const override {
    uint64_t bytes = 0;
    for_each_program([&](const ModelProgram& program) { bytes += program.scratch_bytes; });
    return bytes;
  }

  std::vector<std::string> variants() const override {
    std::set<std::string> names;
    for_each_program([&](const ModelProgram& program) {
      const std::vector<std::string> used = program.program->variants();
      names.insert(used.begin(), used.end());
    });
    return {names.begin(), names.end()};
  }

  std::vector<LayerCapture> capture() override {
    check(options_.capture && last_ != nullptr, "nothing was captured");
    const ModelConfig& c = model_->config();
    Device& device = model_->device();
    std::vector<LayerCapture> result;
    for (const CaptureViews& views : last_->captures) {
      LayerCapture layer{.hidden = read<float>(device, views.hidden, size_t{c.hc_mult} * c.hidden_size),
                         .experts = read<uint32_t>(device, views.experts, c.num_experts_per_tok),
                         .expert_weights = read<float>(device, views.expert_weights, c.num_experts_per_tok)};
      if (views.index_ids.buffer != nullptr) {
        const std::vector<uint32_t> ids = read<uint32_t>(device, views.index_ids, size_t{c.index_topk} + 1);
        layer.index_entries.assign(ids.begin() + 1, ids.begin() + 1 + ids.front());
      }
      result.push_back(std::move(layer));
    }
    return result;
  }

 private:
  void between_pieces() const {
    if (options_.between_pieces) options_.between_pieces();
  }

  void check_tokens(std::span<const uint32_t> tokens) const {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] >= model_->config().vocab_size) {
        fail(ErrorCode::kUsage, "token id {} (number {} of those given) is outside the vocabulary of {}", tokens[i], i,
             model_->config().vocab_size);
      }
    }
    if (tokens.size() > options_.context - position()) {
      fail(ErrorCode::kUsage, "context overflow: {} tokens after position {} do not fit a context of {}; raise --ctx",
           tokens.size(), position(), options_.context);
    }
  }

  // Such a session fills no compressed entries, and its file could not be told from one that does.
  void refuse_window_only(std::string_view what) const {
    if (options_.window_only)
      fail(ErrorCode::kUnsupported, "{}: not for a session that attends to its window only", what);
  }

  SessionFileContent file_content(std::string_view note) const {
    return {.model = model_->identity(),
            .kv = options_.kv(),
            .chunk = options_.chunk,
            .vocab_size = model_->config().vocab_size,
            .note = note,
            .between_pieces = options_.between_pieces};
  }

  // The cache as it is at `target`, from the last snapshot on.
  void compute_anew(uint32_t target) {
    const SessionHistory::Replay replay = history_.rewind(target);
    kv_.restore(replay.from == nullptr ? std::vector<std::byte>(kv_.state_bytes()) : replay.from->state);
    is_torn_ = false;
    last_.reset();
    for (const std::vector<uint32_t>& step : replay.steps) {
      between_pieces();
      run_chunk(step, 0, {}, {});
    }
  }

  // After a step that failed half-way: the cache as it was before it. No token is lost where this fails too.
  void mend() {
    if (!is_torn_) return;
    const SessionHistory whole = history_;
    try {
      compute_anew(position());
    } catch (...) {
      history_ = whole;
      is_torn_ = true;
      throw;
    }
  }

  void take_snapshot() {
    if (options_.snapshot_every != 0 && position() != 0) history_.add_snapshot(kv_.state());
  }

  // What a step of up to so many tokens runs. Its MTP block serves all of them but the last, whose next is not known.
  struct StepPrograms {
    std::shared_ptr<ModelProgram> trunk;
    std::unique_ptr<ModelProgram> mtp;  // not for single tokens
  };

  ProgramParts parts() { return {model_->device(), model_->config(), model_->weights(), kv_, options_.program()}; }

  template <typename F>
  void for_each_program(F&& f) const {
    for (const auto& [capacity, programs] : programs_) {
      f(*programs.trunk);
      if (programs.mtp != nullptr) f(*programs.mtp);
    }
    if (waiting_mtp_ != nullptr) f(*waiting_mtp_);
  }

  // Gives the next tokens their room in the KV cache, and programs: for a chunk as long as the option says, or a
  // decode step of one. Both serve a conversation until the cache grows.
  const StepPrograms& prepare(std::span<const uint32_t> tokens) {
    if (kv_.prepare(position(), static_cast<uint32_t>(tokens.size()))) {
      programs_.clear();
      waiting_mtp_.reset();
    }
    // A chunk longer than the context would only take memory.
    const uint32_t capacity = tokens.size() == 1 ? 1 : std::min(options_.chunk, options_.context);
    if (!programs_.contains(capacity)) programs_[capacity] = build_programs(capacity);
    if (options_.mtp && waiting_mtp_ == nullptr) waiting_mtp_ = build_mtp_program(parts(), kv_.mtp_waiting(), 1);
    return programs_[capacity];
  }

  StepPrograms build_programs(uint32_t capacity) {
    StepPrograms programs{.trunk = build_trunk_program(parts(), capacity), .mtp = nullptr};
    if (options_.mtp && capacity > 1) {
      programs.mtp = build_mtp_program(parts(), programs.trunk->stream, capacity - 1);
    }
    return programs;
  }

  // Feeds one step; `run_trunk` replays the trunk's program. The MTP block pairs a position with the token after it:
  // the last token of the step before, whose stream the cache kept, comes first, and the last one of this step waits.
  template <typename F>
  const ModelProgram& run_step(std::span<const uint32_t> tokens, uint32_t n_logits, const LogitsSink& mtp_sink,
                               F&& run_trunk) {
    const StepPrograms& programs = prepare(tokens);
    const std::vector<std::byte> before = state_to_keep(tokens.size());
    try {
      if (options_.mtp && position() != 0) run_mtp(*waiting_mtp_, tokens.first(1), position() - 1, mtp_sink);
      run_trunk(*programs.trunk->program, writer_.write(programs.trunk->layout, tokens, position(), n_logits));
      if (options_.mtp && tokens.size() > 1) run_mtp(*programs.mtp, tokens.subspan(1), position(), {});
      check_mappings();
    } catch (...) {
      is_torn_ = before.empty() && overwrites(tokens.size());
      if (!before.empty()) kv_.restore(before);
      throw;
    }
    last_ = programs.trunk;
    history_.add_step(tokens);
    return *last_;
  }

  // A step that reads weights in place may lose them half-way, and the session can still be saved as it was before. A
  // single token overwrites nothing that the positions before it need: only what its own repetition overwrites again.
  std::vector<std::byte> state_to_keep(size_t tokens) {
    const bool in_place = model_->device().info().capabilities.has(Capability::kHostMemory);
    return in_place && overwrites(tokens) ? kv_.state() : std::vector<std::byte>();
  }

  bool overwrites(size_t tokens) const { return tokens > 1 || options_.mtp; }

  // The MTP block at `position` and those after it; `next` are the tokens that follow them.
  void run_mtp(const ModelProgram& mtp, std::span<const uint32_t> next, uint32_t position, const LogitsSink& sink) {
    const uint32_t rows = sink ? 1 : 0;
    Device& device = model_->device();
    device.wait(device.submit(*mtp.program, writer_.write(mtp.layout, next, position, rows)));
    check_mappings();
    deliver(mtp.logits, {.position = position, .count = rows, .of_mtp = true}, sink);
  }

  // Feeds one step; gives the logits of its last `wanted` tokens.
  void run_chunk(std::span<const uint32_t> tokens, size_t wanted, const LogitsSink& sink, const LogitsSink& mtp_sink) {
    const auto rows = static_cast<uint32_t>(wanted);
    Device& device = model_->device();
    const ModelProgram& program = run_step(
        tokens, rows, mtp_sink, [&](Program& trunk, const auto& words) { device.wait(device.submit(trunk, words)); });
    deliver(program.logits, {.position = position() - rows, .count = rows}, sink);
  }

  // Logits of positions from `position` on.
  struct LogitsRows {
    uint32_t position = 0;
    uint32_t count = 0;
    bool of_mtp = false;
  };

  void deliver(const BufferView& from, const LogitsRows& rows, const LogitsSink& sink) {
    if (rows.count == 0 || !sink) return;
    const size_t vocab = model_->config().vocab_size;
    const std::vector<float> logits = read<float>(model_->device(), from, rows.count * vocab);
    for (uint32_t i = 0; i < rows.count; ++i) {
      const auto row = std::span<const float>(logits).subspan(i * vocab, vocab);
      if (options_.check_finite) require_finite(rows.position + i, rows.of_mtp, row);
      sink(rows.position + i, row);
    }
  }

  void require_finite(uint32_t position, bool of_mtp, std::span<const float> logits) const {
    const auto odd = std::ranges::find_if_not(logits, [](float value) { return std::isfinite(value); });
    if (odd == logits.end()) return;
    fail_non_finite(model_,
                    {.checkpoint = model_->checkpoint(),
                     .options = options_,
                     .tokens = history_.tokens().first(position + 1),
                     .step_ends = history_.step_ends(),
                     .of_mtp = of_mtp},
                    fmt::format("logits at position {}: token {} has {}, expected a finite number", position,
                                odd - logits.begin(), *odd));
  }

  std::shared_ptr<DeviceModel> model_;
  SessionOptions options_;
  KvCache kv_;
  StepWriter writer_;
  std::map<uint32_t, StepPrograms> programs_;  // by capacity
  std::unique_ptr<ModelProgram> waiting_mtp_;  // the MTP block for the token whose stream the cache kept
  std::shared_ptr<ModelProgram> last_;         // the trunk's program of the last step
  LogitsSink mtp_sink_;
  SessionHistory history_;
  bool is_torn_ = false;  // a step failed after it had overwritten what the positions before it need
};

}  // namespace

KvOptions SessionOptions::kv() const {
  return {.numerics = numerics,
          .rope = kv_rope,
          .context = context,
          .mtp = mtp,
          .slab_bytes = kv_slab_bytes,
          .tiers = kv_tiers};
}

ProgramOptions SessionOptions::program() const {
  return {.numerics = numerics,
          .max_score_bytes = max_score_bytes,
          .all_logits = all_logits,
          .window_only = window_only,
          .mtp = mtp,
          .capture = capture};
}

namespace {

std::unique_ptr<DeviceSession> create_session(std::shared_ptr<Model> model, const SessionOptions& options) {
  auto loaded = std::dynamic_pointer_cast<DeviceModel>(model);
  check(loaded != nullptr, "a session needs a model made by Model::load");
  if (options.chunk == 0 || options.context == 0) fail(ErrorCode::kUsage, "--chunk and --ctx must be at least 1");
  require_step_length(loaded->config(), options.program(), std::min(options.chunk, options.context));
  if (options.mtp && !loaded->has_mtp()) fail(ErrorCode::kUsage, "this checkpoint has no MTP block");
  return std::make_unique<DeviceSession>(std::move(loaded), options);
}

}  // namespace

std::unique_ptr<Session> Session::create(std::shared_ptr<Model> model, const SessionOptions& options) {
  return create_session(std::move(model), options);
}

std::unique_ptr<Session> Session::load(std::shared_ptr<Model> model, const std::string& path,
                                       const SessionOptions& options, std::string* note) {
  std::unique_ptr<DeviceSession> session = create_session(std::move(model), options);
  session->load(path, note);
  return session;
}

std::vector<float> Session::feed(std::span<const uint32_t> tokens) {
  std::vector<float> result;
  feed(tokens, [&](uint32_t, std::span<const float> logits) { result.assign(logits.begin(), logits.end()); });
  return result;
}

}  // namespace nibble
