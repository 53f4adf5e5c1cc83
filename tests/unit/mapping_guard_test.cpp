#include "runtime/base/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/mapped_file.h"
#include "host/engine/session.h"
#include "runtime/base/error.h"
#include "runtime/base/sanitized.h"
#include "runtime/device/open_device.h"
#include "tests/support/expect_error.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

constexpr size_t kPage = 65536;  // at least a page of any system

class MappingGuardTest : public ::testing::Test {
 protected:
  MappingGuardTest() { guard_mappings(); }
  TempDirectory directory_;
};

char byte_at(const MappedFile& file, size_t at) { return static_cast<char>(std::to_integer<int>(file.bytes()[at])); }

TEST_F(MappingGuardTest, LostBytesReadAsZerosAndAreReportedWhileTheFileIsMapped) {
  const std::string path = directory_.write("shard", std::string(4 * kPage, 'x'));
  const std::string other = directory_.write("other", std::string(kPage, 'y'));
  const MappedFile kept = MappedFile::open(other);
  {
    MappedFile first = MappedFile::open(path);
    const MappedFile file = std::move(first);
    std::filesystem::resize_file(path, kPage);
    EXPECT_EQ(byte_at(file, 0), 'x');
    check_mappings();
    // On another thread, as kernels of the processor read.
    std::thread([&] { EXPECT_EQ(byte_at(file, 3 * kPage), '\0'); }).join();
    expect_error([] { check_mappings(); }, path, "lost while it was in use");
    expect_error([] { check_mappings(); }, path);
    check_writable_mappings();
    EXPECT_EQ(byte_at(kept, kPage - 1), 'y');
  }
  check_mappings();
}

// What nobody guards ends the process as before: by the signal, or as a sanitizer reports one.
TEST_F(MappingGuardTest, LeavesForeignAddressesToTheSystem) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto read_foreign = [&] {
    guard_mappings();
    const std::string path = directory_.write("foreign", std::string(2 * kPage, 'x'));
    FILE* file = fopen(path.c_str(), "r");
    const auto* data =
        static_cast<const volatile char*>(mmap(nullptr, 2 * kPage, PROT_READ, MAP_SHARED, fileno(file), 0));
    std::filesystem::resize_file(path, 0);
    return data[kPage];
  };
#ifdef NIBBLE_IS_SANITIZED
  EXPECT_EXIT(read_foreign(), testing::ExitedWithCode(1), "BUS");
#else
  EXPECT_EXIT(read_foreign(), testing::KilledBySignal(SIGBUS), "");
#endif
}

// A session on the cpu, whose weights are pages of the file.
class LostModelTest : public MappingGuardTest {
 protected:
  LostModelTest() {
    write_synthetic_model(directory_.path(), synthetic_config().dump(), {.seed = 3}, 0);
    whole_ = open();
    for (uint32_t i = 0; i < 90; ++i) tokens_.push_back((i * 17 + 3) % 61);
  }

  static std::shared_ptr<Model> model_in(const std::string& directory) {
    return Model::load(std::shared_ptr<Device>(open_device("cpu", {})),
                       std::make_shared<const Checkpoint>(Checkpoint::open(directory)));
  }

  std::shared_ptr<Model> open() const { return model_in(directory_.path()); }

  void lose_and_save(const TempDirectory& copy, const std::string& saved, size_t fed, size_t lost) const {
    const auto model = model_in(copy.path());
    const auto session = Session::create(model, kOptions);
    const std::span<const uint32_t> all(tokens_);
    session->feed(all.first(fed));
    session->save(saved);  // the identity is known from here on
    std::filesystem::resize_file(copy.file("model.safetensors"), 8192);
    const auto sink = [](uint32_t, std::span<const float>) { ADD_FAILURE() << "a result of lost weights"; };
    expect_error([&] { session->feed(all.subspan(fed, lost), sink); }, "model.safetensors", "lost");
    EXPECT_EQ(session->position(), fed);
    session->save(saved);
  }

  // Feeds `fed` tokens, loses the model before the next `lost`, saves; what is loaded must go on as if nothing was.
  void expect_saved_as_before(size_t fed, size_t lost) {
    const TempDirectory copy;
    for (const char* name : {"config.json", "model.safetensors"}) {
      std::filesystem::copy_file(directory_.file(name), copy.file(name));
    }
    const std::string saved = copy.file("saved.session");
    lose_and_save(copy, saved, fed, lost);
    const std::span<const uint32_t> all(tokens_);
    const auto loaded = Session::load(whole_, saved, kOptions);
    const auto straight = Session::create(whole_, kOptions);
    straight->feed(all.first(fed));
    for (size_t i = fed; i < fed + 20; ++i) {
      EXPECT_EQ(loaded->feed(all.subspan(i, 1)), straight->feed(all.subspan(i, 1))) << "token " << i;
    }
  }

  static inline const SessionOptions kOptions = {.context = 128, .chunk = 16};
  std::shared_ptr<Model> whole_;
  std::vector<uint32_t> tokens_;
};

TEST_F(LostModelTest, ASingleTokenLeavesTheSessionAsItWas) {
  for (const size_t fed : {1, 31, 40, 63, 64}) {
    SCOPED_TRACE(fed);
    expect_saved_as_before(fed, 1);
  }
}

TEST_F(LostModelTest, AChunkLeavesTheSessionAsItWas) {
  expect_saved_as_before(40, 16);
  expect_saved_as_before(64, 16);
}

TEST_F(LostModelTest, LoadingFails) {
  const Checkpoint checkpoint = Checkpoint::open(directory_.path());
  std::filesystem::resize_file(directory_.file("model.safetensors"), 65536);
  const auto load = [&] {
    // On a device with memory of its own every weight is read; here it is what must be converted.
    return Model::load(std::shared_ptr<Device>(open_device("cpu", {})),
                       std::shared_ptr<const Checkpoint>(&checkpoint, [](const Checkpoint*) {}));
  };
  expect_error(load, "model.safetensors", "lost");
}

}  // namespace
}  // namespace nibble
