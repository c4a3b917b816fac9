// The front door: lists the subcommands, shows results, progress and errors, chooses the exit code.
// Nothing else prints.
#include <omp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <locale>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "converter/commands.h"
#include "eval/commands.h"
#include "format/amount.h"
#include "format/console.h"
#include "format/error.h"
#include "quantize/commands.h"
#include "verify/commands.h"

namespace galatea {
namespace {

/// The subcommands, in the order in which --help lists them.
constexpr auto commands = std::to_array<BindCommand>({
    bind_reconstruct,
    bind_decode,
    bind_encode,
    bind_base,
    bind_merge_lora,
    bind_extract_lora,
    bind_convert,
    bind_quantize,
    bind_split,
    bind_merge,
    bind_verify,
    bind_inspect,
    bind_diff,
    bind_perplexity,
    bind_tokenize,
});

constexpr const char* example_of_program =
    "galatea decode metharme-13b-xor --base llama-13b-hf --out metharme-13b";
constexpr const char* name_of_kind[] = {"done", "check_failed", "usage", "input", "system"};

// Ctrl-C and SIGTERM ask once; asked again they kill.
std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);
constexpr int exit_of_signals = 128;  // what shells make of a process that a signal ended

extern "C" void on_stop_signal(int number) {
  stop_signal = number;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A closed pipe and a limit on file sizes are errors of the write, with a message and an exit code.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

/// Draws a bar that is redrawn at most five times a second on a terminal; elsewhere (a log) a line at the
/// start and end of a step, and in between after each tenth or ten seconds, at least two seconds apart.
class ScreenProgress : public Progress {
 public:
  explicit ScreenProgress(bool quiet)
      : quiet_(quiet),
        terminal_(isatty(STDERR_FILENO) == 1 && std::getenv("TERM") != nullptr &&
                  std::strcmp(std::getenv("TERM"), "dumb") != 0) {}

  void begin(std::string_view step, std::uint64_t total, std::string_view unit) override {
    const std::scoped_lock lock(mutex_);
    finish();
    step_ = printable(step);
    unit_ = unit;
    total_ = total;
    done_ = 0;
    open_ = true;
    started_ = last_shown_ = Clock::now();
    next_tenth_ = 1;
    if (!terminal_) {
      line(step_ + (total_ > 0 ? ": " + amount(static_cast<double>(total_), unit_) : ""));
    } else {
      draw();
    }
  }

  void advance(std::uint64_t units) override {
    done_ += units;
    if (quiet_) return;
    const std::unique_lock lock(mutex_,
                                std::try_to_lock);  // who finds it taken leaves the drawing to the other
    if (!lock.owns_lock() || !open_) return;
    const double pause = seconds_since(last_shown_);
    const double tenths = total_ > 0 ? 10.0 * static_cast<double>(done_) / static_cast<double>(total_) : 0;
    if (terminal_ ? pause >= 0.2 : pause >= 10 || (pause >= 2 && tenths >= next_tenth_)) {
      last_shown_ = Clock::now();
      next_tenth_ = static_cast<int>(std::min(tenths, 10.0)) + 1;
      draw();
    }
  }

  void end() override {
    const std::scoped_lock lock(mutex_);
    finish();
  }

  void note(std::string_view text) override {
    const std::scoped_lock lock(mutex_);
    erase();
    line(printable(text, 4096));
    if (terminal_ && open_) draw();
  }

  bool stop_requested() const override { return stop_signal != 0; }

  /// Takes the bar off the screen, so that other lines can be written.
  void clear() {
    const std::scoped_lock lock(mutex_);
    erase();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double seconds_since(Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  }

  void finish() {
    if (!open_) return;
    open_ = false;
    erase();
    const double seconds = seconds_since(started_);
    const auto done = static_cast<double>(done_);
    std::string text = step_ + ": done";
    if (done_ > 0) text += ", " + amount(done, unit_);
    text += " in " + duration(seconds);
    if (done_ > 0 && seconds >= 0.1) text += ", " + amount(done / seconds, unit_) + "/s";
    line(text);
  }

  void draw() {
    const double seconds = seconds_since(started_);
    const auto done = static_cast<double>(done_);
    const double part = total_ > 0 ? std::min(1.0, done / static_cast<double>(total_)) : 0;
    std::string text = step_;
    if (total_ > 0 && terminal_) {
      constexpr std::size_t width = 20;
      std::string bar(static_cast<std::size_t>(part * width), '#');
      bar.resize(width, '.');
      text += " [" + bar + "]";
    }
    if (total_ > 0) text += " " + std::to_string(std::lround(100 * part)) + " %";
    text += "  " + amount(done, unit_);
    if (total_ > 0) text += " of " + amount(static_cast<double>(total_), unit_);
    if (seconds >= 0.5) {
      text += "  " + amount(done / seconds, unit_) + "/s";
      if (part > 0 && part < 1) text += "  ETA " + duration(seconds * (1 - part) / part);
    }
    if (!terminal_) return line(text);
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    text.resize(std::min<std::size_t>(text.size(), known ? size.ws_col - 1U : 79));
    if (!quiet_) std::fprintf(stderr, "\r\033[K%s", text.c_str());
    drawn_ = true;
  }

  void erase() {
    if (drawn_ && !quiet_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }

  void line(const std::string& text) const {
    if (!quiet_) std::fprintf(stderr, "%s\n", text.c_str());
  }

  const bool quiet_, terminal_;
  std::mutex mutex_;
  std::string step_, unit_;
  std::uint64_t total_ = 0;
  std::atomic<std::uint64_t> done_{0};
  bool open_ = false, drawn_ = false;
  Clock::time_point started_, last_shown_;
  int next_tenth_ = 1;
};

class ScreenConsole : public Console {
 public:
  ScreenConsole(bool json, bool quiet) : json_(json), progress_(quiet) {}

  void print(std::string_view text) override {
    if (json_) return;
    std::string out;
    while (true) {
      const std::size_t end = text.find('\n');
      std::string_view row = text.substr(0, end);
      for (std::size_t tab = row.find('\t'); tab != std::string_view::npos; tab = row.find('\t')) {
        out += printable(row.substr(0, tab), row.size()) + '\t';
        row.remove_prefix(tab + 1);
      }
      out += printable(row, row.size()) + '\n';
      if (end == std::string_view::npos) break;
      text.remove_prefix(end + 1);
    }
    write(out);
  }

  void print_json(const nlohmann::json& document) override {
    if (!json_ || json_printed_) return;
    json_printed_ = true;
    write(document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n');
  }

  bool json() const override { return json_; }
  Progress& progress() override { return progress_; }

  /// Everything is out, or Error(system).
  void finish() {
    progress_.clear();
    if (std::fflush(stdout) != 0) throw write_error();
  }

  /// The error for people on stderr and, under --json, for machines on stdout.
  int report(const Error& error) {
    progress_.clear();
    std::fprintf(stderr, "galatea: %s\n", error.what());
    const int kind = static_cast<int>(error.kind());
    const int signal = is_interrupted(error) ? stop_signal.load() : 0;
    const int code = signal != 0 ? exit_of_signals + signal : kind;
    nlohmann::json fields = {{"exit_code", code}, {"kind", name_of_kind[kind]}, {"message", error.what()}};
    fields["problem"] = error.problem();
    if (!error.file_name().empty()) fields["file"] = error.file_name();
    if (!error.tensor_name().empty()) fields["tensor"] = error.tensor_name();
    if (error.byte()) fields["byte"] = *error.byte();
    if (!error.remedy_text().empty()) fields["remedy"] = error.remedy_text();
    try {
      print_json({{"error", fields}});
      finish();
    } catch (const Error&) {  // stdout is broken, stderr has it
    }
    return code;
  }

 private:
  static Error write_error() {
    Error error(ErrorKind::system, std::string("cannot write to standard output: ") + std::strerror(errno));
    error.remedy("what was written so far is not the whole result");
    return error;
  }

  void write(const std::string& text) {
    progress_.clear();
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) throw write_error();
    if (isatty(STDOUT_FILENO) == 1 && std::fflush(stdout) != 0) throw write_error();
  }

  const bool json_;
  bool json_printed_ = false;
  ScreenProgress progress_;
};

/// Help texts of at most 80 columns: two columns, the right one wrapped.
class ScreenHelp : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const override {
    const bool root = app->get_parent() == nullptr;
    std::string out = wrap(root ? app->get_description() : name + ": " + app->get_description(), 0, 0);
    std::string usage = "Usage: " + name;
    std::string positionals, options;
    for (const CLI::Option* option : app->get_options()) {
      if (option->get_group().empty()) continue;
      const bool positional = option->get_positional();
      std::string label = option->get_name(positional, !positional);
      std::replace(label.begin(), label.end(), ',', ' ');
      if (positional) std::transform(label.begin(), label.end(), label.begin(), upper);
      std::string text = option->get_description();
      if (positional) {
        usage += " " + (option->get_required() ? label : "[" + label + "]");
        usage += option->get_expected_max() > 1 ? "..." : "";
        if (!option->get_lnames().empty()) label += ", --" + option->get_lnames().front();
        positionals += two_columns(label, text, column(root));
      } else if (root || option != app->get_help_ptr()) {
        if (option->get_type_size() != 0) label += " " + option->get_type_name();
        if (option->get_required()) text += " (required)";
        if (!option->get_default_str().empty()) text += " (default " + option->get_default_str() + ")";
        options += two_columns(label, text, column(root));
      }
    }
    const auto subcommands =
        app->get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
    usage += (subcommands.empty() ? "" : " COMMAND") + std::string(options.empty() ? "" : " [OPTIONS]");
    out += "\n" + wrap(usage, 0, 7) + (positionals.empty() ? "" : "\n" + positionals);
    if (!subcommands.empty()) out += "\nCommands (galatea COMMAND --help tells more)\n";
    for (const CLI::App* sub : subcommands) {
      out += two_columns(sub->get_name(), sub->get_description(), column(root));
    }
    if (!options.empty()) out += (root ? "\nOptions of every command\n" : "\nOptions\n") + options;
    if (!app->get_footer().empty()) out += "\n" + app->get_footer() + "\n";
    if (!root) out += "\nAlso --json --quiet --threads N --help: see galatea --help\n";
    return out;
  }

 private:
  static char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
  static std::size_t column(bool root) { return root ? 16 : 26; }

  /// Words of `text` in lines of at most 80 columns; the first starts at column `first`, the others at
  /// `next`.
  static std::string wrap(const std::string& text, std::size_t first, std::size_t next) {
    std::string out, word;
    std::size_t at = first;
    bool line_empty = true;
    for (const char c : text + " ") {
      if (c != ' ' && c != '\n') {
        word += c;
        continue;
      }
      if (!line_empty && at + 1 + word.size() > 80) {
        out += "\n" + std::string(next, ' ');
        at = next;
        line_empty = true;
      }
      if (!word.empty()) out += (line_empty ? "" : " ") + word;
      if (!word.empty()) at += word.size() + (line_empty ? 0 : 1);
      line_empty = line_empty && word.empty();
      word.clear();
    }
    return out + "\n";
  }

  static std::string two_columns(const std::string& left, const std::string& right, std::size_t column) {
    std::string out = "  " + left;
    if (out.size() + 2 > column) {
      return "  " + wrap(left, 2, 4) + std::string(column, ' ') + wrap(right, column, column);
    }
    out.resize(column, ' ');
    return out + wrap(right, column, column);
  }
};

/// What the parser says, in words of ours where it knows less than we do.
int usage_error(ScreenConsole& console, const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const auto unknown = app.remaining(true);
  std::string problem = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !unknown.empty()) {
    const bool command = chosen.empty() && !unknown.front().starts_with('-');
    problem =
        (command ? "there is no command '" : "unexpected argument '") + printable(unknown.front()) + "'";
  }
  Error shown(ErrorKind::usage, problem);
  shown.remedy("galatea" + (chosen.empty() ? std::string() : " " + chosen.front()->get_name()) + " --help");
  return console.report(shown);
}

int run(int argc, char** argv) {
  CLI::App app("Galatea " GALATEA_VERSION
               ": turns released LLaMA-family weights into weights that run, "
               "and proves that they are right.",
               "galatea");
  app.formatter(std::make_shared<ScreenHelp>());
  app.fallthrough();  // before the subcommands, which inherit it: global options may follow the subcommand
  app.require_subcommand(0, 1);
  bool json = false, quiet = false;
  int threads = 0;
  app.set_help_flag("-h,--help", "this text");
  app.set_version_flag("--version", "galatea " GALATEA_VERSION)->description("the version of galatea");
  app.add_flag("--json", json, "the result as one JSON document on standard output");
  app.add_flag("--quiet", quiet, "no progress, no notes; errors only");
  app.add_option("--threads", threads, "use N threads (default: all processors)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024).description(""));
  app.footer("Example\n  " + std::string(example_of_program) +
             "\n\nExit codes: 0 done, 1 a check failed, 2 wrong usage, 3 bad input, 4 the system\n"
             "failed (disk, memory, permission), 130 and 143 stopped by Ctrl-C or SIGTERM.");
  Action action;
  for (const BindCommand bind : commands) bind(app, action);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool wants_json =
        std::any_of(argv, argv + argc, [](const char* a) { return std::strcmp(a, "--json") == 0; });
    const bool help = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    ScreenConsole console(wants_json && !help, false);
    if (!help) return usage_error(console, app, error);
    try {
      const bool version = dynamic_cast<const CLI::CallForVersion*>(&error) != nullptr;
      std::string text = version ? error.what() : app.help();
      console.print(text.ends_with('\n') ? text.substr(0, text.size() - 1) : text);
      console.finish();
      return 0;
    } catch (const Error& broken) {
      return console.report(broken);
    }
  }

  if (threads > 0) omp_set_num_threads(threads);
  ScreenConsole console(json, quiet);
  try {
    if (!action) throw Error(ErrorKind::usage, "which command?").remedy("galatea --help");
    const int code = action(console);
    console.finish();
    return code;
  } catch (const Error& error) {
    return console.report(error);
  } catch (const std::bad_alloc&) {
    return console.report(Error(ErrorKind::system, "out of memory").remedy("use fewer threads: --threads 1"));
  } catch (const std::filesystem::filesystem_error& error) {
    return console.report(system_error(error.path1(), "reach this place", error.code().value()));
  } catch (const std::exception& error) {
    return console.report(Error(ErrorKind::system, std::string("unexpected: ") + error.what()));
  }
}

// What fails before there is a console, or while an error is being told: said without taking memory.
int run_guarded(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("galatea: out of memory\n  remedy: use fewer threads: --threads 1\n", stderr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "galatea: unexpected: %s\n", error.what());
  }
  return static_cast<int>(ErrorKind::system);
}

// A destructor that cannot get memory (those of JSON values may want some) ends the process: by a message and the exit
// code of the system's failures. What is on the disk is as after a kill: nothing half-written has a name.
[[noreturn]] void on_terminate() {
  const char* text = "galatea: unexpected: ended in the middle\n";
  try {
    if (std::current_exception()) std::rethrow_exception(std::current_exception());
  } catch (const std::bad_alloc&) {
    text = "galatea: out of memory\n  remedy: use fewer threads: --threads 1\n";
  } catch (...) {
  }
  std::fputs(text, stderr);
  std::_Exit(static_cast<int>(ErrorKind::system));
}

// Every shard of a checkpoint is an open file; shells allow 1,024 unless the program asks for what it may have.
void allow_open_files() {
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace galatea

int main(int argc, char** argv) {
  std::setlocale(LC_ALL, "C");
  std::locale::global(std::locale::classic());
  galatea::install_signal_handlers();
  galatea::allow_open_files();
  std::set_terminate(galatea::on_terminate);
  const int code = galatea::run_guarded(argc, argv);
  // Ended by the signal itself, so that a shell's loop around the command stops as well.
  if (code > galatea::exit_of_signals) {
    std::fflush(nullptr);
    std::signal(code - galatea::exit_of_signals, SIG_DFL);
    std::raise(code - galatea::exit_of_signals);
  }
  return code;
}
