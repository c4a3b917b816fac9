// The two matrices of an adapter as float32 in memory, shared by the threads that work on one tensor.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace galatea {

/// Row-major, of the product `left` x `right`.
struct LoraFactors {
  std::vector<float> left, right;
};

/// Loads the factors when they are first asked for and forgets them when no thread needs them any more: each thread
/// keeps those that it used last, one pair for each adapter in a chain of merges.
class LoraFactorCache {
 public:
  explicit LoraFactorCache(std::function<LoraFactors()> load) : load_(std::move(load)) {}

  /// The factors while rows are computed. A merge whose base is another merge asks from inside the use.
  class Use {
   public:
    explicit Use(const LoraFactorCache& cache);
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use();
    const LoraFactors& operator*() const { return *factors_; }
    const LoraFactors* operator->() const { return factors_.get(); }

   private:
    std::shared_ptr<const LoraFactors> factors_;
  };

 private:
  std::shared_ptr<const LoraFactors> factors() const;

  std::function<LoraFactors()> load_;
  mutable std::mutex mutex_;
  mutable std::weak_ptr<const LoraFactors> loaded_;
};

}  // namespace galatea
