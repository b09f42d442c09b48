// What operators share: checks of their arguments, memory for the time of a call, and pieces of work.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "vec.h"

namespace smupar {

// Elements that are worth a thread of their own. at::parallel_for cuts evenly, not at multiples of it: a piece may end
// within a vector, whose lanes beyond that end belong to another thread and must be left alone.
inline constexpr int64_t kElementwiseGrain = 1 << 15;

inline void check(const at::Tensor& tensor, at::ScalarType type, int64_t dimensions, const char* name) {
  TORCH_CHECK(tensor.scalar_type() == type, name, " has type ", tensor.scalar_type(), ", not ", type);
  TORCH_CHECK(tensor.dim() == dimensions, name, " has ", tensor.dim(), " dimensions, not ", dimensions);
  TORCH_CHECK(tensor.is_contiguous(), name, " is not contiguous");
}

inline at::Tensor scratch_like(const at::Tensor& like, int64_t floats) {
  // One vector more, for alignment whatever the allocator gives.
  return at::empty({floats + kLanes}, like.options().dtype(at::kFloat));
}

// Calls action with a null pointer to the type in which a tensor holds its numbers: float or BFloat16.
template <class Action>
void with_number(const at::Tensor& tensor, const char* name, const Action& action) {
  if (tensor.scalar_type() == at::kBFloat16) return action(static_cast<BFloat16*>(nullptr));
  TORCH_CHECK(tensor.scalar_type() == at::kFloat, name, " has type ", tensor.scalar_type(), ", not ", at::kFloat, " or ",
              at::kBFloat16);
  action(static_cast<float*>(nullptr));
}

template <class Number>
Number* numbers(const at::Tensor& tensor) {
  return static_cast<Number*>(tensor.data_ptr());
}

inline float* aligned(const at::Tensor& scratch) {
  const auto address = reinterpret_cast<uintptr_t>(scratch.data_ptr<float>());
  return reinterpret_cast<float*>((address + kAlignment - 1) / kAlignment * kAlignment);
}

}  // namespace smupar
