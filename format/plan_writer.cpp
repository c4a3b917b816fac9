#include "format/plan_writer.h"

#include <omp.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "format/error.h"
#include "format/job.h"
#include "format/plan_marker.h"
#include "format/plan_producer.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

/// A file seen under another name.
class NamedSource final : public ByteSource {
 public:
  NamedSource(SourcePtr source, fs::path name) : source_(std::move(source)), name_(std::move(name)) {}
  std::uint64_t size() const override { return source_->size(); }
  const fs::path& name() const override { return name_; }
  void read(std::uint64_t offset, std::span<std::byte> out) const override { source_->read(offset, out); }

 private:
  SourcePtr source_;
  fs::path name_;
};

/// The unfinished file is not what the journal vouched for, from mark number `good` on.
struct DamagedPartial {
  std::size_t good;
};

/// Everything about a plan that its bytes follow from, but for the values of its tensors.
std::string identity_of(std::span<const FileLayout> files, const WriteOptions& options) {
  Hasher hasher(HashKind::sha256);
  const auto add = [&hasher](std::string_view text) {
    const std::string length = std::to_string(text.size()) + ":";
    hasher.update(std::as_bytes(std::span(length)));
    hasher.update(std::as_bytes(std::span(text)));
  };
  for (const HashKind kind : options.digests) add(to_string(kind));
  for (const FileLayout& file : files) {
    add(file.name);
    for (const Segment& segment : file.segments) {
      add(std::to_string(segment.index()) + " " + std::to_string(segment_size(segment, file.tensors)));
      if (const auto* literal = std::get_if<LiteralSegment>(&segment)) {
        hasher.update(literal->bytes);
      } else if (const auto* part = std::get_if<TensorSegment>(&segment)) {
        const Tensor& tensor = file.tensors.at(part->tensor);
        add(tensor.name + " " + to_string(tensor.shape) + " " + std::string(type_info(tensor.type()).name));
      }
    }
  }
  return hasher.finish();
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return std::to_string(
             whole == 0 ? 100
                        : static_cast<int>(100.0 * static_cast<double>(part) / static_cast<double>(whole))) +
         " %";
}

bool is_fault_of_input(const Error& error) {
  return error.kind() == ErrorKind::input || error.kind() == ErrorKind::check_failed;
}

}  // namespace

void LaneProgress::begin(std::string_view step, std::uint64_t total, std::string_view unit) {
  const std::lock_guard lock(mutex_);
  outer_.begin(step, total, unit);
}

void LaneProgress::end() {
  const std::lock_guard lock(mutex_);
  outer_.end();
}

void LaneProgress::note(std::string_view line) {
  const std::lock_guard lock(mutex_);
  outer_.note(line);
}

PlanWriter::PlanWriter(std::span<const FileLayout> files, std::vector<fs::path> paths,
                       const fs::path& journal, const WriteOptions& options)
    : files_(files),
      paths_(std::move(paths)),
      options_(options),
      progress_(options.progress != nullptr ? *options.progress : silent_progress()) {
  options_.progress = &progress_;
  if (options_.job != nullptr && !files_.empty()) {
    if (options_.digests.empty()) options_.digests = {HashKind::sha256};
    open_journal(journal);
  } else {
    require_free_names(false);
  }
}

void PlanWriter::open_journal(const fs::path& path) {
  journal_ = std::make_shared<PlanJournal>(path, paths_.size() == 1 ? paths_.front() : folder_of(path));
  const std::string identity = identity_of(files_, options_);
  const JournalContent& before = journal_->content();
  const bool same = before.valid_bytes > 0 && before.job == options_.job->fingerprint() &&
                    before.identity == identity && before.files.size() == files_.size();
  const bool stale = before.valid_bytes > 0 && !same;
  require_free_names(stale);
  if (same) {
    journal_->go_on();
  } else {
    if (stale) {
      progress_.note("an unfinished run with other options or inputs is discarded: " + path.string());
      discard_stale_partials();
    }
    std::vector<std::string> names;
    for (const FileLayout& file : files_) names.push_back(file.name);
    journal_->start(options_.job->fingerprint(), identity, names);
  }
  options_.job->adopt(journal_);
}

void PlanWriter::discard_stale_partials() const {
  for (const std::string& name : journal_->content().names) {
    if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos) continue;
    std::error_code ignored;
    fs::remove(OutputFile::partial_path_of(folder_of(paths_.front()) / name), ignored);
  }
}

void PlanWriter::require_free_names(bool stale) const {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (fs::is_directory(paths_[i]))
      throw Error(ErrorKind::usage, "a folder stands where a file is to be written").file(paths_[i]);
    if (options_.overwrite || !fs::exists(paths_[i]) || (!stale && finished(i))) continue;
    Error error(ErrorKind::usage, "the output file exists already");
    error.file(paths_[i]);
    if (stale) error.context("starting anew: the unfinished run there has other options or inputs");
    throw error.remedy("choose another place, remove it, or give --overwrite");
  }
}

const JournalledFile* PlanWriter::journalled(std::size_t index) const {
  if (!journal_ || index >= journal_->content().files.size()) return nullptr;
  return &journal_->content().files[index];
}

bool PlanWriter::finished(std::size_t index) const {
  const JournalledFile* state = journalled(index);
  return state != nullptr && state->whole && state->whole->stamp.size == files_[index].size() &&
         stamp_of(paths_[index]) == state->whole->stamp;
}

std::uint64_t PlanWriter::bytes_to_do() const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < files_.size(); ++i) total += finished(i) ? 0 : files_[i].size();
  return total;
}

std::uint64_t PlanWriter::bytes_to_allocate() const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (finished(i)) continue;
    const std::uint64_t size = files_[i].size();
    total += size - std::min(size, allocated_bytes(OutputFile::partial_path_of(paths_[i])));
  }
  return total;
}

void PlanWriter::require_room(const fs::path& folder) const {
  try {
    require_free_space(folder, bytes_to_allocate());
  } catch (const Error&) {
    const auto begun = [](const JournalledFile& file) { return file.whole || !file.marks.empty(); };
    if (journal_ && std::ranges::none_of(journal_->content().files, begun)) journal_->remove();
    throw;
  }
}

std::vector<WrittenFile> PlanWriter::run() {
  std::size_t done = 0;
  for (std::size_t i = 0; i < files_.size(); ++i) done += finished(i) ? 1U : 0U;
  if (done > 0) {
    progress_.note("going on with an earlier run: " + std::to_string(done) + " of " +
                   std::to_string(files_.size()) + " files are finished");
  }
  std::vector<WrittenFile> written(files_.size());
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> others;
  for (int lane = 1; lane < lanes(); ++lane)
    others.emplace_back([this, &next, &written] { run_lane(next, written); });
  run_lane(next, written);
  for (std::thread& other : others) other.join();
  if (!failure_) return written;
  try {
    throw_failure();
  } catch (Error& error) {
    if (journal_) {
      explain(error);
    } else if (is_interrupted(error)) {
      error.remedy("run the same command again");
    }
    throw;
  }
}

/// What failed first. When it is a fault of an input that was changed meanwhile, that says more.
void PlanWriter::throw_failure() const {
  try {
    std::rethrow_exception(failure_);
  } catch (const Error& error) {
    if (options_.job != nullptr && is_fault_of_input(error)) options_.job->require_unchanged_inputs();
    throw;
  }
}

/// As many as help: a digest keeps one processor busy, and making its bytes another at most.
int PlanWriter::lanes() const {
  if (options_.files_at_once > 0) return options_.files_at_once;
  const int threads = options_.threads > 0 ? options_.threads : omp_get_max_threads();
  const auto large = std::count_if(files_.begin(), files_.end(), [&](const FileLayout& file) {
    return file.size() >= options_.chunk_bytes;
  });
  if (threads == 1 || large < 2) return 1;
  return static_cast<int>(std::min<std::ptrdiff_t>(large, std::clamp(threads / 2, 2, 4)));
}

void PlanWriter::run_lane(std::atomic<std::size_t>& next, std::vector<WrittenFile>& written) {
  for (std::size_t i = next++; i < files_.size() && !progress_.failed(); i = next++) {
    try {
      written[i] = finished(i) ? recall_finished(i) : write_one(i);
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
      progress_.fail();
    }
  }
}

/// Says what is kept, and what is not.
void PlanWriter::explain(Error& error) const {
  std::size_t done = 0;
  std::uint64_t safe = 0, total = 0;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const std::uint64_t size = files_[i].size();
    const JournalledFile* state = journalled(i);
    const bool whole = finished(i);
    done += whole ? 1U : 0U;
    total += size;
    safe += whole ? size : !state->marks.empty() ? state->marks.back().end : 0;
  }
  if (error.kind() == ErrorKind::system) {
    error.remedy("run the same command again: it goes on at " + percent(safe, total));
    return;
  }
  if (done > 0) {
    error.context("writing " + std::to_string(files_.size()) + " files; " + std::to_string(done) +
                  (done == 1 ? " is whole and kept" : " are whole and kept"));
  }
  // The same command would fail again, and another one has another journal.
  if (safe > 0 && !is_fault_of_input(error)) return;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    std::error_code ignored;
    if (!finished(i)) fs::remove(OutputFile::partial_path_of(paths_[i]), ignored);
  }
  journal_->remove();
}

WrittenFile PlanWriter::recall_finished(std::size_t index) const {
  const JournalledFile& state = *journalled(index);
  for (const JournalMark& mark : state.marks) restore_tally(files_[index], mark.tally);
  restore_tally(files_[index], state.whole->tally);
  return {files_[index].name, state.whole->stamp.size, state.whole->digests};
}

WrittenFile PlanWriter::write_one(std::size_t index) {
  WrittenFile written{files_[index].name, files_[index].size(), {}};
  OutputFile output(paths_[index], written.size, options_.overwrite);
  if (const JournalledFile* state = journalled(index);
      state != nullptr && state->whole && output.stamp() == state->whole->stamp) {
    output.keep();
    output.commit();
    return recall_finished(index);
  }
  if (!journal_) {
    produce(index, output, {}, written);
    seal(index, output, written);
    return written;
  }
  try {
    write_or_keep(index, output, written);
  } catch (const Error& error) {
    if (!is_fault_of_input(error)) output.keep();
    throw;
  } catch (...) {
    output.keep();
    throw;
  }
  return written;
}

void PlanWriter::write_or_keep(std::size_t index, OutputFile& output, WrittenFile& written) {
  std::vector<JournalMark> marks = usable_marks(index, output);
  for (bool complete = false; !complete;) {
    const std::uint64_t begin = marks.empty() ? 0 : marks.back().end;
    journal_->from(index, begin);
    if (begin > 0) {
      progress_.note("resuming " + written.name + " at " + percent(begin, written.size) +
                     ", checking what is there");
    }
    try {
      produce(index, output, marks, written);
      complete = true;
    } catch (const DamagedPartial& damaged) {
      progress_.note("what is there of " + written.name + " was damaged since; that part is made again");
      marks.resize(damaged.good);
    }
  }
  for (const JournalMark& mark : marks) restore_tally(files_[index], mark.tally);
  seal(index, output, written);
}

std::vector<JournalMark> PlanWriter::usable_marks(std::size_t index, const OutputFile& output) const {
  std::vector<JournalMark> marks = journalled(index)->marks;
  if (output.left_over() != files_[index].size()) return {};
  std::vector<std::uint64_t> ends;
  ends.reserve(marks.size());
  for (const JournalMark& mark : marks) ends.push_back(mark.end);
  std::vector<std::uint64_t> reached;
  for (const PlanChunk& chunk : cut_into_chunks(files_[index], options_.chunk_bytes, ends))
    reached.push_back(chunk.end());
  std::erase_if(marks, [&](const JournalMark& mark) {
    return !std::binary_search(reached.begin(), reached.end(), mark.end);
  });
  return marks;
}

/// The bytes of one file, those before the last of `marks` read back and compared with the digests there.
void PlanWriter::produce(std::size_t index, OutputFile& output, std::vector<JournalMark> marks,
                         WrittenFile& written) {
  const FileLayout& layout = files_[index];
  std::vector<std::uint64_t> ends;
  ends.reserve(marks.size());
  for (const JournalMark& mark : marks) ends.push_back(mark.end);
  const std::uint64_t begin = ends.empty() ? 0 : ends.back();
  if (begin == 0) output.clear();
  output.reserve();
  std::vector<Hasher> hashers;
  for (const HashKind kind : options_.digests) hashers.emplace_back(kind);
  std::optional<PlanMarker> marker;
  if (journal_) marker.emplace(layout, index, output, *journal_, options_, begin);
  std::size_t next_mark = 0;
  PlanProducer::InOrder in_order;
  if (!hashers.empty()) {
    in_order = [&](std::uint64_t offset, std::span<const std::byte> bytes) {
      for (Hasher& hasher : hashers) hasher.update(bytes);
      const std::uint64_t end = offset + bytes.size();
      if (next_mark < marks.size() && marks[next_mark].end == end) {
        if (hashers.front().peek() != marks[next_mark].digest) throw DamagedPartial{next_mark};
        ++next_mark;
      }
      if (marker) marker->reached(end, hashers.front());
    };
  }
  PlanProducer producer(
      layout, options_,
      [&](std::uint64_t offset, std::span<const std::byte> bytes) { output.write(offset, bytes); }, in_order);
  if (begin > 0) {
    producer.go_on_from(ends,
                        [&](std::uint64_t offset, std::span<std::byte> out) { output.read(offset, out); });
  }
  producer.run();
  if (marker) marker->stop();
  written.digests.clear();
  for (Hasher& hasher : hashers) written.digests[hasher.kind()] = hasher.finish();
}

/// Checks the finished file and gives it its name.
void PlanWriter::seal(std::size_t index, OutputFile& output, const WrittenFile& written) {
  const FileLayout& layout = files_[index];
  const fs::path& path = paths_[index];
  if (options_.job != nullptr) options_.job->require_unchanged_inputs();
  try {
    // Errors name the file by the name that it is about to get.
    if (layout.check) layout.check(std::make_shared<NamedSource>(open_file(output.partial_path()), path));
    if (layout.accept) layout.accept(written);
  } catch (Error& error) {
    error.file(path).context("checking the finished file before it gets its name");
    throw;
  }
  if (journal_) {
    output.flush();
    const JournalledFile& state = *journalled(index);
    const std::uint64_t marked = state.marks.empty() ? 0 : state.marks.back().end;
    journal_->whole(index, {output.stamp(), written.digests, tally_of(layout, marked, written.size)});
  }
  output.commit();
}

}  // namespace galatea
