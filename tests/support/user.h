// Tests of permissions: root may read and write everything, so they run as nobody where the tests run as root.
#pragma once

#include <unistd.h>

#include <filesystem>

namespace galatea::test {

/// While it lives, the process has the rights of an ordinary user to whom `folder` and all in it belong.
class OrdinaryUser {
 public:
  explicit OrdinaryUser(const std::filesystem::path& folder) : was_root_(::geteuid() == 0) {
    if (!was_root_) return;
    effective_ = ::lchown(folder.c_str(), kNobody, static_cast<gid_t>(-1)) == 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      effective_ = effective_ && ::lchown(entry.path().c_str(), kNobody, static_cast<gid_t>(-1)) == 0;
    }
    effective_ = effective_ && ::seteuid(kNobody) == 0;
  }
  OrdinaryUser(const OrdinaryUser&) = delete;
  OrdinaryUser& operator=(const OrdinaryUser&) = delete;
  ~OrdinaryUser() {
    if (was_root_ && effective_ && ::seteuid(0) != 0) ::_exit(1);
  }

  /// False in a container that has no such user.
  bool effective() const { return effective_; }
  static const char* lacking() {
    return "root reads and writes whatever the permissions say, and may not become user 65534 here "
           "(seteuid): run the tests as an ordinary user";
  }

 private:
  static constexpr uid_t kNobody = 65534;
  bool was_root_;
  bool effective_ = true;
};

}  // namespace galatea::test
