// What an interrupted plan leaves, and how the next run goes on: kill points are exceptions out of the rows.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <atomic>
#include <cstring>
#include <memory>

#include "format/error.h"
#include "format/job.h"
#include "format/plan.h"
#include "format/plan_journal.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using test::list_folder;
using test::read_bytes;
using test::TempFolder;

struct Killed {};

/// Shared by all rows of a test: how many were read, and at which the run dies.
struct Counter {
  std::atomic<std::uint64_t> read{0};
  std::atomic<std::uint64_t> most{~std::uint64_t{0}};
  std::atomic<std::uint64_t> odd{
      0};  ///< what the rows count: an exact tally tells rows counted twice or never
  std::function<void()> die = [] { throw Killed(); };
};

/// 4-byte values that follow from row and column.
class MadeRows final : public Rows {
 public:
  MadeRows(std::uint64_t rows, std::uint64_t cols, std::uint32_t seed, std::shared_ptr<Counter> counter)
      : Rows(DType::f32, rows, cols), seed_(seed), counter_(std::move(counter)), odd_(rows) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    for (std::uint64_t row = first; row < first + count; ++row) {
      if (++counter_->read > counter_->most) counter_->die();
      for (std::uint64_t col = 0; col < cols(); ++col) {
        const auto value = static_cast<std::uint32_t>((row * cols() + col + seed_) * 2654435761U);
        std::memcpy(out.data() + 4 * ((row - first) * cols() + col), &value, 4);
      }
      if (odd_[row].exchange(row % 3 == 1 ? 2 : 1) == 0 && row % 3 == 1) ++counter_->odd;
    }
  }
  std::string tally(std::uint64_t first, std::uint64_t count) const override {
    std::uint32_t odd = 0;
    for (std::uint64_t row = first; row < first + count; ++row) odd += odd_[row] == 2 ? 1U : 0U;
    return {reinterpret_cast<const char*>(&odd), sizeof odd};
  }
  void restore_tally(std::string_view tally) const override {
    std::uint32_t odd = 0;
    if (tally.size() != sizeof odd) throw Error(ErrorKind::input, "no tally");
    std::memcpy(&odd, tally.data(), sizeof odd);
    counter_->odd += odd;
  }

 private:
  std::uint32_t seed_;
  std::shared_ptr<Counter> counter_;
  mutable std::vector<std::atomic<int>> odd_;
};

CrcSegment crcs_of(std::size_t count) {
  return {4 * count, [count](std::span<const std::uint32_t> crcs) {
            std::vector<std::byte> out(4 * count);
            std::memcpy(out.data(), crcs.data(), out.size());
            return out;
          }};
}

constexpr std::uint64_t rows_of_plan = 2 * (300 + 200) + 50;

/// Three files: two like a zip (tensors, CRCs, tensors, CRCs) and a short one.
Plan sample(const std::shared_ptr<Counter>& counter) {
  Plan plan;
  for (const char* name : {"first.bin", "second.bin"}) {
    FileLayout layout = literal_layout(name, "head of the file");
    const std::uint32_t seed = static_cast<unsigned char>(name[0]);
    layout.tensors.push_back({"a", {300, 20}, std::make_shared<MadeRows>(300, 20, seed, counter), {}, 0});
    layout.tensors.push_back({"b", {200, 30}, std::make_shared<MadeRows>(200, 30, seed + 7, counter), {}, 0});
    layout.segments.emplace_back(TensorSegment{0});
    layout.segments.emplace_back(crcs_of(1));
    layout.segments.emplace_back(TensorSegment{1});
    layout.segments.emplace_back(crcs_of(2));
    plan.files.push_back(std::move(layout));
  }
  FileLayout last = literal_layout("third.json", "{}");
  last.tensors.push_back({"c", {50, 4}, std::make_shared<MadeRows>(50, 4, 1, counter), {}, 0});
  last.segments.emplace_back(TensorSegment{0});
  plan.files.push_back(std::move(last));
  return plan;
}

class Notes final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override { ++calls; }
  void end() override {}
  void note(std::string_view line) override { text += std::string(line) + "\n"; }
  bool stop_requested() const override { return calls >= stop_at; }
  std::string text;
  std::atomic<std::uint64_t> calls{0};
  std::uint64_t stop_at = ~std::uint64_t{0};
};

WriteOptions resumable(Job& job, int threads = 2) {
  WriteOptions options;
  options.job = &job;
  options.threads = threads;
  options.files_at_once = 1;
  options.chunk_bytes = 800;
  options.mark_bytes = 1600;
  options.digests = {HashKind::md5, HashKind::sha256};
  return options;
}

struct Whole {
  std::map<std::string, std::string> bytes;
  std::vector<std::string> digests;
  std::uint64_t odd = 0;
};

std::vector<std::string> digests_of(const std::vector<WrittenFile>& written) {
  std::vector<std::string> out;
  for (const WrittenFile& file : written) {
    for (const auto& [kind, digest] : file.digests) out.push_back(digest);
  }
  return out;
}

const Whole& expected() {
  static const Whole whole = [] {
    const TempFolder folder;
    const auto counter = std::make_shared<Counter>();
    WriteOptions options;
    options.digests = {HashKind::md5, HashKind::sha256};
    Whole out;
    out.digests = digests_of(write_plan(sample(counter), folder.path(), options));
    for (const std::string& name : list_folder(folder.path())) out.bytes[name] = read_bytes(folder / name);
    out.odd = counter->odd;
    return out;
  }();
  return whole;
}

std::map<std::string, std::string> contents(const TempFolder& folder) {
  std::map<std::string, std::string> out;
  for (const std::string& name : list_folder(folder.path())) out[name] = read_bytes(folder / name);
  return out;
}

/// A run that dies when `rows` were read.
void run_until(const TempFolder& folder, std::uint64_t rows, int threads = 2) {
  const auto counter = std::make_shared<Counter>();
  counter->most = rows;
  Job job("options", {});
  EXPECT_THROW(write_plan(sample(counter), folder.path(), resumable(job, threads)), Killed);
}

/// A run to the end; gives the rows that it read. Everything must be as if there had been one run only.
std::uint64_t finish(const TempFolder& folder, int threads = 2, std::uint64_t chunk = 800,
                     std::string* notes = nullptr) {
  const auto counter = std::make_shared<Counter>();
  Notes progress;
  Job job("options", {});
  WriteOptions options = resumable(job, threads);
  options.chunk_bytes = chunk;
  options.progress = &progress;
  const auto written = write_plan(sample(counter), folder.path(), options);
  EXPECT_TRUE(std::filesystem::exists(folder / ".galatea.journal"));
  job.finish();
  EXPECT_EQ(digests_of(written), expected().digests);
  EXPECT_EQ(contents(folder), expected().bytes);
  EXPECT_EQ(counter->odd, expected().odd);
  if (notes != nullptr) *notes = progress.text;
  return counter->read;
}

TEST(PlanResume, GoesOnFromAnyPointWithTheSameBytesDigestsAndTallies) {
  std::uint64_t redone = 0, killed = 0;
  for (std::uint64_t rows = 0; rows < rows_of_plan; rows += 71) {
    const TempFolder folder;
    run_until(folder, rows);
    const std::uint64_t read = finish(folder);
    EXPECT_LE(read, rows_of_plan);
    redone += read - (rows_of_plan - rows);
    ++killed;
  }
  // Without resuming, half of the plan would be done again on average; here it is what lay between two marks.
  EXPECT_LT(redone / killed, rows_of_plan / 6);
}

TEST(PlanResume, SeveralFilesAtOnceAreTheSame) {
  for (std::uint64_t rows = 0; rows < rows_of_plan; rows += 173) {
    const TempFolder folder;
    for (const int lanes : {2, 3}) {
      const auto counter = std::make_shared<Counter>();
      counter->most = rows;
      Job job("options", {});
      WriteOptions options = resumable(job);
      options.files_at_once = lanes;
      try {
        write_plan(sample(counter), folder.path(), options);
      } catch (const Killed&) {
      }
    }
    EXPECT_LE(finish(folder), rows_of_plan);
  }
}

TEST(PlanResume, AFaultInOneOfSeveralFilesLeavesNoPartialOnes) {
  const TempFolder folder;
  Plan plan = sample(std::make_shared<Counter>());
  plan.files[1].check = [](const SourcePtr&) { throw Error(ErrorKind::input, "not what it should be"); };
  Job job("options", {});
  WriteOptions options = resumable(job);
  options.files_at_once = 2;
  const Error error = test::error_of([&] { write_plan(plan, folder.path(), options); });
  EXPECT_EQ(error.problem(), "not what it should be");
  for (const std::string& name : list_folder(folder.path())) {
    EXPECT_FALSE(name.starts_with('.')) << name;
    EXPECT_NE(name, "second.bin");
  }
}

TEST(PlanResume, SurvivesManyDeathsOnOtherThreadsAndChunks) {
  const TempFolder folder;
  std::uint64_t rows = 100;
  for (const int threads : {1, 3, 7, 2, 16}) run_until(folder, rows += 30, threads);
  std::string notes;
  EXPECT_LT(finish(folder, 5, 333, &notes), rows_of_plan);
  EXPECT_NE(notes.find("resuming"), std::string::npos) << notes;
}

TEST(PlanResume, FinishedFilesAreNotTouchedAndKeepTheirNames) {
  const TempFolder folder;
  run_until(folder, 700);
  ASSERT_EQ(list_folder(folder.path()),
            (std::vector<std::string>{".galatea.journal", ".second.bin.partial", "first.bin"}));
  const auto before = std::filesystem::last_write_time(folder / "first.bin");
  std::string notes;
  EXPECT_LT(finish(folder, 2, 800, &notes), 551U);
  EXPECT_EQ(std::filesystem::last_write_time(folder / "first.bin"), before);
  EXPECT_NE(notes.find("1 of 3 files are finished"), std::string::npos) << notes;
  EXPECT_NE(notes.find("resuming second.bin at"), std::string::npos) << notes;
}

TEST(PlanResume, DamageOfThePartialFileIsFoundAndMadeAgain) {
  for (const std::uint64_t at : {3U, 20U, 5000U, 20000U}) {
    const TempFolder folder;
    run_until(folder, 350, 1);
    std::string bytes = read_bytes(folder / ".first.bin.partial");
    bytes.at(at) ^= 0x10;
    // In place: another file would have another owner of the lock, not another content.
    test::write_bytes(folder / ".first.bin.partial", bytes);
    std::string notes;
    finish(folder, 2, 800, &notes);
    EXPECT_NE(notes.find("was damaged since"), std::string::npos) << at << notes;
  }
}

TEST(PlanResume, APartialFileThatIsGoneOrShorterIsMadeAgain) {
  for (const bool gone : {true, false}) {
    const TempFolder folder;
    run_until(folder, 350);
    if (gone) {
      std::filesystem::remove(folder / ".first.bin.partial");
    } else {
      std::filesystem::resize_file(folder / ".first.bin.partial", 9000);
    }
    EXPECT_EQ(finish(folder), rows_of_plan);
  }
}

TEST(PlanResume, ADamagedJournalCostsTimeOnly) {
  const TempFolder original;
  run_until(original, 800);
  const std::string journal = read_bytes(original / ".galatea.journal");
  for (std::size_t at = 0; at < journal.size(); at += 173) {
    for (const bool cut : {true, false}) {
      const TempFolder folder;
      std::filesystem::copy(original.path(), folder.path(), std::filesystem::copy_options::recursive);
      // Names of finished files are taken over only when the journal still vouches for them.
      const auto time = std::filesystem::last_write_time(original / "first.bin");
      std::filesystem::last_write_time(folder / "first.bin", time);
      std::string damaged = journal;
      if (cut) {
        damaged.resize(at);
      } else {
        damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
      }
      test::write_bytes(folder / ".galatea.journal", damaged);
      const auto counter = std::make_shared<Counter>();
      Job job("options", {});
      WriteOptions options = resumable(job);
      options.overwrite = true;
      EXPECT_EQ(digests_of(write_plan(sample(counter), folder.path(), options)), expected().digests) << at;
      job.finish();
      EXPECT_EQ(contents(folder), expected().bytes) << at;
    }
  }
}

TEST(PlanResume, DiedBetweenTheLastMarkAndTheName) {
  const TempFolder folder;
  {
    Job job("options", {});
    write_plan(sample(std::make_shared<Counter>()), folder.path(), resumable(job));
  }
  // The journal stays until the job is finished; the rename is undone here.
  std::filesystem::rename(folder / "second.bin", folder / ".second.bin.partial");
  EXPECT_EQ(finish(folder), 0U);
}

TEST(PlanResume, AStaleJournalIsDiscardedWithANote) {
  const TempFolder folder;
  run_until(folder, 350);
  Job other("other options", {});
  Notes notes;
  WriteOptions options = resumable(other);
  options.progress = &notes;
  const auto counter = std::make_shared<Counter>();
  write_plan(sample(counter), folder.path(), options);
  EXPECT_EQ(counter->read, rows_of_plan);
  EXPECT_NE(notes.text.find("other options or inputs is discarded"), std::string::npos) << notes.text;
}

TEST(PlanResume, AnotherPlanLeavesNoPartialFilesOfTheOld) {
  const TempFolder folder;
  run_until(folder, 350);
  {
    Job job("options", {});
    write_plan({{literal_layout("x", "1")}}, folder.path(), resumable(job));
    job.finish();
  }
  EXPECT_EQ(list_folder(folder.path()), std::vector<std::string>{"x"});
}

TEST(PlanResume, FilesOfAnUnfinishedRunWithOtherOptionsAreNotReplacedUnasked) {
  const TempFolder folder;
  run_until(folder, 700);
  const auto before = contents(folder);
  Job other("other options", {});
  test::expect_error(
      ErrorKind::usage,
      [&] { write_plan(sample(std::make_shared<Counter>()), folder.path(), resumable(other)); },
      "other options");
  EXPECT_EQ(contents(folder), before);
  EXPECT_LT(finish(folder), 551U);
}

TEST(PlanResume, AFileThatTheJobDidNotWriteIsKept) {
  const TempFolder folder;
  run_until(folder, 350);
  test::write_bytes(folder / "second.bin", "precious");
  Job job("options", {});
  EXPECT_THROW(write_plan(sample(std::make_shared<Counter>()), folder.path(), resumable(job)), Error);
  EXPECT_EQ(read_bytes(folder / "second.bin"), "precious");
}

TEST(PlanResume, OneRunAtATime) {
  const TempFolder folder;
  Job job("options", {});
  const auto counter = std::make_shared<Counter>();
  counter->most = 100;
  counter->die = [&] {
    counter->most = ~std::uint64_t{0};
    for (const bool with_job : {true, false}) {
      Job second("options", {});
      WriteOptions options = resumable(second);
      if (!with_job) options.job = nullptr;
      const Error error =
          test::error_of([&] { write_plan(sample(std::make_shared<Counter>()), folder.path(), options); });
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_EQ(error.problem(), "another run is writing there");
    }
  };
  EXPECT_EQ(digests_of(write_plan(sample(counter), folder.path(), resumable(job))), expected().digests);
  job.finish();
  EXPECT_EQ(contents(folder), expected().bytes);
}

TEST(PlanResume, AFaultOfTheInputRemovesThePartialFileAndKeepsFinishedOnes) {
  for (const std::uint64_t rows : {350U, 700U}) {
    const TempFolder folder;
    const auto counter = std::make_shared<Counter>();
    counter->most = rows;
    counter->die = [] { throw Error(ErrorKind::input, "this row is damaged"); };
    Job job("options", {});
    const Error error = test::error_of([&] { write_plan(sample(counter), folder.path(), resumable(job)); });
    const bool kept = std::string(error.what()).find("1 is whole and kept") != std::string::npos;
    EXPECT_EQ(kept, rows == 700) << error.what();
    const std::vector<std::string> left =
        rows == 700 ? std::vector<std::string>{"first.bin"} : std::vector<std::string>();
    EXPECT_EQ(list_folder(folder.path()), left);
  }
}

TEST(PlanResume, AfterAFailingDiskOrCtrlCTheSameCommandGoesOn) {
  const TempFolder folder;
  {
    const auto counter = std::make_shared<Counter>();
    counter->most = 350;
    counter->die = [] { throw Error(ErrorKind::system, "the disk is full").remedy("free 7 bytes"); };
    Job job("options", {});
    EXPECT_THROW(write_plan(sample(counter), folder.path(), resumable(job)), Error);
    EXPECT_TRUE(std::filesystem::exists(folder / ".first.bin.partial"));
  }
  {
    Notes progress;
    progress.stop_at = 50;
    Job job("options", {});
    WriteOptions options = resumable(job);
    options.progress = &progress;
    const Error error =
        test::error_of([&] { write_plan(sample(std::make_shared<Counter>()), folder.path(), options); });
    EXPECT_TRUE(is_interrupted(error));
    EXPECT_NE(error.remedy_text().find("run the same command again"), std::string::npos);
  }
  EXPECT_LT(finish(folder), rows_of_plan);
}

TEST(PlanResume, AnInputThatChangesWhileItIsReadIsRefused) {
  const TempFolder folder, inputs;
  test::write_bytes(inputs / "weights", "abc");
  const auto counter = std::make_shared<Counter>();
  counter->most = 100;
  counter->die = [&] {
    counter->most = ~std::uint64_t{0};
    test::write_bytes(inputs / "weights", "abcd");
  };
  Job job("options", {inputs.path()});
  const Error error = test::error_of([&] { write_plan(sample(counter), folder.path(), resumable(job)); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_EQ(error.file_name(), std::filesystem::canonical(inputs / "weights").string());
  EXPECT_TRUE(list_folder(folder.path()).empty());
}

TEST(PlanResume, AFileOfItsOwnHasItsJournalBesideIt) {
  const TempFolder folder;
  for (const std::uint64_t most : {std::uint64_t{100}, std::uint64_t{250}, ~std::uint64_t{0}}) {
    const auto counter = std::make_shared<Counter>();
    counter->most = most;
    Job job("options", {});
    FileLayout layout = std::move(sample(counter).files.front());
    try {
      write_file(std::move(layout), folder / "model.gguf", resumable(job));
      job.finish();
      EXPECT_LT(counter->read, 450U);
    } catch (const Killed&) {
      EXPECT_EQ(list_folder(folder.path()),
                (std::vector<std::string>{".model.gguf.journal", ".model.gguf.partial"}));
    }
  }
  EXPECT_EQ(list_folder(folder.path()), std::vector<std::string>{"model.gguf"});
  EXPECT_EQ(read_bytes(folder / "model.gguf"), expected().bytes.at("first.bin"));
}

/// A small file system of its own, where this process may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const char* size) {
    mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, size) == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const TempFolder& folder() const { return folder_; }

 private:
  TempFolder folder_;
  bool mounted_ = false;
};

TEST(PlanResume, ADiskThatFillsUpIsAClearErrorAndTheWorkGoesOnWhenThereIsRoom) {
  const SmallDisk disk("size=200k");
  if (!disk.mounted())
    GTEST_SKIP() << "a disk that fills up is played by a tmpfs of 200 KiB, and this user may not mount one: "
                    "run as root";
  const auto counter = std::make_shared<Counter>();
  counter->most = 100;
  counter->die = [&] {  // someone else takes the room that the second file was to have
    counter->most = ~std::uint64_t{0};
    std::ofstream(disk.folder() / "filler", std::ios::binary) << std::string(150'000, 'x');
  };
  {
    Job job("options", {});
    const Error error =
        test::error_of([&] { write_plan(sample(counter), disk.folder().path(), resumable(job)); });
    EXPECT_EQ(error.kind(), ErrorKind::system);
    EXPECT_EQ(error.problem(), "the disk is full");
    EXPECT_EQ(error.file_name(), (disk.folder() / "second.bin").string());
    EXPECT_NE(std::string(error.what()).find("bytes more for this file"), std::string::npos) << error.what();
    EXPECT_NE(error.remedy_text().find("run the same command again"), std::string::npos) << error.what();
  }
  std::filesystem::remove(disk.folder() / "filler");
  EXPECT_LE(finish(disk.folder()), 551U);
}

/// More than any disk has.
class EndlessRows final : public Rows {
 public:
  EndlessRows() : Rows(DType::f32, std::uint64_t{1} << 40U, std::uint64_t{1} << 16U) {}
  void read(std::uint64_t, std::uint64_t, std::span<std::byte>) const override { throw Killed(); }
};

TEST(PlanResume, ADiskThatIsTooSmallIsFoundBeforeTheWork) {
  const TempFolder folder;
  Plan plan = sample(std::make_shared<Counter>());
  FileLayout layout = literal_layout("endless.bin", "head of the file");
  const RowsPtr rows = std::make_shared<EndlessRows>();
  layout.tensors.push_back({"endless", {rows->rows(), rows->cols()}, rows, {}, 0});
  layout.segments.emplace_back(TensorSegment{0});
  plan.files.push_back(std::move(layout));
  Job job("options", {});
  const Error error = test::error_of([&] { write_plan(plan, folder.path(), resumable(job)); });
  EXPECT_EQ(error.kind(), ErrorKind::system);
  EXPECT_EQ(error.problem(), "not enough free disk space");
  EXPECT_EQ(list_folder(folder.path()), std::vector<std::string>{});
}

TEST(PlanResume, NamesOfTheEnginesOwnFilesAreRefused) {
  const TempFolder folder;
  for (const char* name : {".galatea.journal", ".x.partial"})
    EXPECT_THROW(write_plan({{literal_layout(name, "x")}}, folder.path(), {}), Error);
}

}  // namespace
}  // namespace galatea
