// The releases whose digests and scores were published, and descriptions of others in the same form.
//
// A release is JSON (verify/releases.json holds the known ones, `--release FILE.json` reads one from a file):
//
//   {"name": "metharme-13b", "title": "...", "source": "where the numbers come from",
//    "files":  [FILE, ...],                      what the decoded release consists of
//    "base":   "llama-13b-hf" or [FILE, ...],    what its payload was XORed with: a known release,
//                                              or its files
//    "meta":   "llama-13b"    or [FILE, ...],    Meta's files that the base was converted from
//    any other key with a list of FILEs          further parts (adapter, payload)
//    "scores": {"ctx": 2048, "wikitext2": 5.25, "ptb-new": 27.5, "c4-new": 7.04},
//    "any_weights": [DIGESTS, ...], "any_weights_note": "..."    accepted for any *.bin of "files"}
//
//   FILE    = {"name", "size", "md5", "sha1", "sha256", "alternates": [VARIANT, ...],
//              "known_bad": [BAD, ...], "optional": true, "note"}    all but the name may be missing
//   VARIANT = {"md5", "sha1", "sha256", "note"}                      other published contents of the file
//   BAD     = VARIANT + {"name", "size", "meaning", "remedy"}
//
// The digests at the top of a FILE, and those of one VARIANT, describe one and the same content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/digest.h"

namespace galatea {

/// One published content of a file.
struct ReleaseVariant {
  Digests digests;
  std::string note;  ///< empty for the primary one
};

/// A content that people are known to end up with, what it means and what to do.
struct KnownBad {
  std::string name;  ///< the file it is found under
  std::optional<std::uint64_t> size;
  Digests digests;  ///< empty: the size alone tells
  std::string meaning, remedy;
};

struct ReleaseFile {
  std::string name;
  std::optional<std::uint64_t> size;     ///< of the primary content
  std::vector<ReleaseVariant> variants;  ///< the primary one first; none: nothing was published but the name
  std::vector<KnownBad> known_bad;
  bool optional = false;  ///< a folder without it is whole
  std::string note;
};

using ReleaseFiles = std::vector<ReleaseFile>;

struct Release {
  std::string name, title, source;
  std::map<std::string, ReleaseFiles, std::less<>> parts;  ///< "files", "base", "meta", ... as far as given
  std::map<std::string, std::string, std::less<>> parts_elsewhere;  ///< "base" -> name of the known release
  std::map<std::string, double, std::less<>> scores;  ///< perplexity by stream: "wikitext2", "ptb-new", ...
  std::uint64_t score_context = 2048;                 ///< tokens in a window of these scores
};

/// All known releases, in the order of the data file.
const std::vector<Release>& known_releases();
/// Contents that are wrong in any release.
const std::vector<KnownBad>& known_bad_contents();
/// nullptr when there is none of that name (any case).
const Release* find_release(std::string_view name);

/// Throws Error(input) naming the field when the description is damaged; `source` names it in messages.
Release parse_release(std::string_view text, const std::filesystem::path& source);

/// A known release by name, or a description from a JSON file. Throws Error(usage) listing the known names
/// when it is neither.
Release resolve_release(const std::string& name_or_file);

/// The files of a part ("files", "base", "meta", ...), looked up in the known releases where the description
/// refers there. Throws Error(usage) listing the parts there are.
const ReleaseFiles& release_part(const Release& release, std::string_view part);

/// Where a content was published.
struct Publication {
  const Release* release;
  const ReleaseFile* file;
  const ReleaseVariant* variant;
};

/// Every place in the known releases that has one of these digests.
std::vector<Publication> find_publications(const Digests& digests);

/// The known-bad content with one of these digests, or, where only its size is known, with this name and
/// size; `more` is searched before the general ones. nullptr when there is none.
const KnownBad* find_known_bad(std::string_view name, std::uint64_t size, const Digests& digests,
                               const std::vector<KnownBad>& more = {});

}  // namespace galatea
