// From flags to a model that can be fed: what run, chat, logits and perplexity do first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "host/checkpoint/checkpoint.h"
#include "host/engine/session.h"
#include "host/text/tokenizer.h"
#include "runtime/base/driver_call.h"
#include "tools/nibble/options.h"

namespace nibble {

// Members are declared so that they are destroyed in the right order: the model before its device.
struct LoadedModel {
  std::shared_ptr<DriverCall> in_use;  // of a driver's device, from its opening to its end
  std::shared_ptr<Device> device;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<Model> model;

  const ModelConfig& config() const { return model->config(); }
};

// Reads config.json first, so that a mistyped directory is reported before a device is opened. Shows a progress bar.
LoadedModel load_model(const ModelFlags& model, const DeviceFlags& device);

Tokenizer load_tokenizer(const ModelFlags& model);

// The options a session gets from its flags. `default_context` applies when --ctx was not given; both are checked
// against the model's maximum.
SessionOptions session_options(const SessionFlags& flags, const ModelConfig& config, uint32_t default_context);

// Creates the session and lets it show a progress bar during prefill.
std::unique_ptr<Session> create_session(const LoadedModel& loaded, const SessionOptions& options);

// The same with what was saved in a file; `note` gets what its writer kept there (tools/nibble/session_note.h).
std::unique_ptr<Session> load_session(const LoadedModel& loaded, const SessionOptions& options, const std::string& path,
                                      std::string& note);

// Positions that fit without asking for more than most uses need: 4096, or the model's maximum if that is less.
uint32_t usual_context(const ModelConfig& config);

// "cpu: AMD EPYC (portable 1.0)", for the line that ends a run.
std::string describe(const DeviceInfo& info);

// "2.0 GiB on the device, 1.5 GiB in the host's memory".
std::string describe(const KvTierBytes& bytes);

}  // namespace nibble
