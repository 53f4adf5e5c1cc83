// Model: a checkpoint's weights on one device, shared by sessions. Session: tokens so far, their KV cache, and the
// programs that extend it. Device state for positions below position() is a function of the tokens fed and of how they
// were cut into chunks. Model and its sessions belong to one thread at a time and must not outlive the device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/checkpoint/checkpoint.h"
#include "host/kv/kv_options.h"
#include "host/layers/program_options.h"
#include "host/placement/place_weights.h"
#include "runtime/core/kernel_spec.h"
#include "runtime/device/device.h"

namespace nibble {

class Model {
 public:
  // Validates the checkpoint against its config and brings the weights to the device (on cpu: uses them in place).
  static std::shared_ptr<Model> load(std::shared_ptr<Device> device, std::shared_ptr<const Checkpoint> checkpoint,
                                     const LoadProgress& progress = {});
  virtual ~Model() = default;
  virtual Device& device() = 0;
  virtual const ModelConfig& config() const = 0;
  virtual bool has_mtp() const = 0;
  virtual uint64_t device_bytes() const = 0;  // memory taken on the device; 0 for weights used in place
};

struct SessionOptions {
  Numerics numerics = Numerics::kReference;
  KvRope kv_rope = KvOptions().rope;
  uint32_t context = KvOptions().context;  // positions the KV cache has room for
  // Most tokens of one prefill step. At 512 tokens and 6 of 256 experts each expert gets 12 of them; at 64 most of its
  // weights are read for one.
  uint32_t chunk = 512;
  uint64_t max_score_bytes = ProgramOptions().max_score_bytes;
  bool all_logits = false;         // logits of every token fed, not only of the last (perplexity)
  bool window_only = false;        // attend to no compressed entry: shows what they are worth
  bool mtp = false;                // run the MTP block too; the model must have one
  bool capture = false;            // keep hidden streams and selections of the last token (tests)
  bool check_finite = true;        // logits that are not finite are an error that names layer and tensor
  uint32_t snapshot_every = 1024;  // tokens between the places that rewind() goes back to; 0 keeps none
  uint64_t kv_slab_bytes = 0;      // KvOptions::slab_bytes
  KvTierLimits kv_tiers;
  // Called between the pieces of long work: before each chunk of a prompt and each step that a rewind feeds again, and
  // every few megabytes of a file. What it throws ends the work there: chunks that were fed stay fed, and a session's
  // file is the old one or none.
  std::function<void()> between_pieces;

  // What the rooms below see of these.
  KvOptions kv() const;
  ProgramOptions program() const;
};

// Logits of one position: float32 [vocab], valid until the sink returns.
using LogitsSink = std::function<void(uint32_t position, std::span<const float> logits)>;

// What a layer chose for the last token fed, with SessionOptions::capture.
struct LayerCapture {
  std::vector<float> hidden;            // [hc_mult, hidden_size]: the streams after the layer
  std::vector<uint32_t> experts;        // [num_experts_per_tok]
  std::vector<float> expert_weights;    // same order
  std::vector<uint32_t> index_entries;  // chosen compressed entries, ascending; indexed layers only
};

// One dispatch of a step: how long it took by itself, and what it must move and compute.
struct DispatchProfile {
  std::string label;   // "layers.3.attn.wq_a"
  std::string kernel;  // qualified name of the variant
  double seconds = 0;
  Cost cost;
};

class Session {
 public:
  static std::unique_ptr<Session> create(std::shared_ptr<Model> model, const SessionOptions& options);
  // The session that was saved to a file, on any device: what follows is what would have followed there. Throws
  // kInvalidFile for a damaged file; kUsage for another model's, for other numerics, rope format or chunk than it was
  // saved with, for one saved without the MTP block where it is to run and the reverse, and for a context that it does
  // not fit.
  static std::unique_ptr<Session> load(std::shared_ptr<Model> model, const std::string& path,
                                       const SessionOptions& options, std::string* note = nullptr);
  virtual ~Session() = default;

  // Extends the sequence: several tokens as prefill in chunks that end at multiples of the chunk's length, one token as
  // a decode step. Gives the logits of the last token (or of all, with all_logits) to `sink`. Throws kUsage on a token
  // id outside the vocabulary or when the context is full, before anything changes; kInvalidFile or kDevice where
  // logits are not finite.
  virtual void feed(std::span<const uint32_t> tokens, const LogitsSink& sink) = 0;
  // The same, returning a copy of the last token's logits.
  std::vector<float> feed(std::span<const uint32_t> tokens);

  // The same as feed() of one chunk, with every dispatch timed by itself; no logits are given. Throws kUsage for more
  // tokens than a chunk has.
  virtual std::vector<DispatchProfile> profile(std::span<const uint32_t> tokens) = 0;

  // Logits of the MTP block: for position i they become known when token i+1 is fed (it predicts token i+2). The sink
  // gets the rows of the ends of steps only, in order of position, but not again what a rewind() repeats. A fork begins
  // without one.
  virtual void set_mtp_sink(LogitsSink sink) = 0;

  virtual uint32_t position() const = 0;  // tokens fed so far
  virtual std::span<const uint32_t> tokens() const = 0;

  // Forgets all tokens from `position` on. From the latest snapshot before it the tokens are fed again, cut into steps
  // as they were, so that what follows is bit-identical to a session that never went further. Throws kUsage past the
  // end. Where between_pieces() ends it, the session has forgotten more: what was fed again is what it holds.
  virtual void rewind(uint32_t position) = 0;
  // Saves the session to a file, which appears whole or not at all (docs/sessions.md). `note` is kept for the caller of
  // load(). Throws kIo, kUsage (not a place to save to) or, with window_only, kUnsupported.
  virtual void save(const std::string& path, std::string_view note = {}) = 0;
  // A second session with the same past. Their KV caches share memory until one of them writes there.
  virtual std::unique_ptr<Session> fork() = 0;
  virtual const SessionOptions& options() const = 0;
  virtual uint64_t kv_bytes() const = 0;                  // of the KV cache, as far as it has grown
  virtual KvTierBytes kv_tier_bytes() const = 0;          // where it lies when the context is full
  virtual uint64_t scratch_bytes() const = 0;             // of activations
  virtual std::vector<std::string> variants() const = 0;  // kernel variants in use, sorted
  virtual std::vector<LayerCapture> capture() = 0;

  // Called after each prefill chunk: tokens done of those given to feed().
  std::function<void(uint32_t done, uint32_t total)> on_progress;
};

}  // namespace nibble
