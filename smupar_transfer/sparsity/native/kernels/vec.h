// A vector of floats as wide as the machine's registers, and the two shuffling patterns the kernels need.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace smupar {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kRegisters = 32;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
inline constexpr int kRegisters = 16;
#elif defined(__aarch64__)
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 32;
#else
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 16;
#endif

// Compiler vectors rather than intrinsics: one source for every width. They may alias the floats they are read from.
typedef float Vec __attribute__((vector_size(4 * kLanes), may_alias));
typedef float LooseVec __attribute__((vector_size(4 * kLanes), may_alias, aligned(4)));
typedef int32_t LaneIndex __attribute__((vector_size(4 * kLanes)));

inline constexpr int64_t kAlignment = 4 * kLanes;

// Aligned to the vector.
inline Vec load(const float* from) { return *reinterpret_cast<const Vec*>(from); }
inline void store(float* to, Vec value) { *reinterpret_cast<Vec*>(to) = value; }

// Not aligned; only the first `count` lanes, the others read as zero.
inline Vec load_loose(const float* from, int count) {
  if (count == kLanes) return *reinterpret_cast<const LooseVec*>(from);
  Vec value{};
  std::memcpy(&value, from, sizeof(float) * count);
  return value;
}
inline void store_loose(float* to, Vec value, int count) {
  if (count == kLanes) {
    *reinterpret_cast<LooseVec*>(to) = value;
  } else {
    std::memcpy(to, &value, sizeof(float) * count);
  }
}

// Lanes of the two inputs, counted through both, in the order Lane...
template <int... Lane>
inline Vec shuffle(Vec first, Vec second, std::integer_sequence<int, Lane...>) {
#if defined(__clang__)
  return __builtin_shufflevector(first, second, Lane...);
#else
  return __builtin_shuffle(first, second, LaneIndex{Lane...});
#endif
}

template <int Step, int... Lane>
constexpr auto low_lanes(std::integer_sequence<int, Lane...>) {
  return std::integer_sequence<int, ((Lane & Step) ? Lane - Step + kLanes : Lane)...>{};
}
template <int Step, int... Lane>
constexpr auto high_lanes(std::integer_sequence<int, Lane...>) {
  return std::integer_sequence<int, ((Lane & Step) ? Lane + kLanes : Lane + Step)...>{};
}

// One exchange of a butterfly: with rows of 2 x 2 blocks of Step x Step, swap the blocks off the diagonal.
template <int Step>
inline void exchange(Vec& upper, Vec& lower) {
  constexpr auto lanes = std::make_integer_sequence<int, kLanes>{};
  const Vec low = shuffle(upper, lower, low_lanes<Step>(lanes));
  lower = shuffle(upper, lower, high_lanes<Step>(lanes));
  upper = low;
}

// Transposes a square of kLanes vectors in place.
template <int Step = 1>
inline void transpose(Vec (&rows)[kLanes]) {
  if constexpr (Step < kLanes) {
#pragma GCC unroll 16
    for (int row = 0; row < kLanes; row++) {
      if (!(row & Step)) exchange<Step>(rows[row], rows[row + Step]);
    }
    transpose<2 * Step>(rows);
  }
}

// Lane i of the result is the sum over the lanes of rows[i]: the butterfly above, halving the rows at every step.
template <int Step = 1>
inline Vec sum_lanes(Vec (&rows)[kLanes]) {
  if constexpr (Step < kLanes) {
#pragma GCC unroll 16
    for (int row = 0; row < kLanes; row += 2 * Step) {
      exchange<Step>(rows[row], rows[row + Step]);
      rows[row] += rows[row + Step];
    }
    return sum_lanes<2 * Step>(rows);
  } else {
    return rows[0];
  }
}

}  // namespace smupar
