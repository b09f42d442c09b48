// A vector of floats as wide as the machine's registers, and the two shuffling patterns the kernels need.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512BF16__) && defined(__AVX512F__)
#include <immintrin.h>
#endif

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
typedef uint32_t Bits __attribute__((vector_size(4 * kLanes), may_alias));

typedef uint16_t BriefBits __attribute__((vector_size(2 * kLanes), may_alias));
typedef uint16_t LooseBriefBits __attribute__((vector_size(2 * kLanes), may_alias, aligned(2)));

inline constexpr int64_t kAlignment = 4 * kLanes;

// The upper half of a float. Kernels compute in float: only what they read and write is shorter.
struct BFloat16 {
  uint16_t bits;
};

// Aligned to the vector.
inline Vec load(const float* from) { return *reinterpret_cast<const Vec*>(from); }
inline void store(float* to, Vec value) { *reinterpret_cast<Vec*>(to) = value; }

// The same number in all lanes: subtracting zero changes no bit, and compilers know it.
inline Vec broadcast(float value) { return value - Vec{}; }

// Keeps a vector that several products read in a register: compilers would rather load it once for each.
inline void keep(Vec& value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#elif defined(__AVX__)
  asm("" : "+x"(value));
#else
  (void)value;
#endif
}

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

inline Vec load_loose(const BFloat16* from, int count) {
  BriefBits value{};
  if (count == kLanes) {
    value = *reinterpret_cast<const LooseBriefBits*>(from);
  } else {
    std::memcpy(&value, from, sizeof(BFloat16) * count);
  }
  return reinterpret_cast<Vec>(__builtin_convertvector(value, Bits) << 16);
}
// Rounded to the nearest, to the even one of two; NaN stays NaN.
inline BriefBits rounded(Vec value) {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
  return reinterpret_cast<BriefBits>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(value)));
#else
  const Bits bits = reinterpret_cast<Bits>(value), lost = reinterpret_cast<Bits>(value != value);
  const Bits half = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return __builtin_convertvector((half & ~lost) | (lost & 0x7fc0), BriefBits);
#endif
}
inline void store_loose(BFloat16* to, Vec value, int count) {
  const BriefBits brief = rounded(value);
  if (count == kLanes) {
    *reinterpret_cast<LooseBriefBits*>(to) = brief;
  } else {
    std::memcpy(to, &brief, sizeof(BFloat16) * count);
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

// Patterns that every machine has a fast instruction for: within parts of four lanes, and of whole parts.
//
// Interleave<Step>: of each part, the first (Half 0) or second (Half 1) two lanes of both inputs, Step lanes at a time
// from either in turn. Step 1 of parts abcd and ABCD gives aAbB and cCdD, step 2 gives abAB and cdCD.
template <int Step, int Half, int... Lane>
constexpr auto interleaved(std::integer_sequence<int, Lane...>) {
  return std::integer_sequence<int, (Lane / 4 * 4 + Half * 2 + (Step == 1 ? Lane % 4 / 2 : Lane % 2) +
                                     ((Step == 1 ? Lane % 2 : Lane % 4 / 2) ? kLanes : 0))...>{};
}
template <int Step, int Half>
inline Vec interleave(Vec first, Vec second) {
  return shuffle(first, second, interleaved<Step, Half>(std::make_integer_sequence<int, kLanes>{}));
}

// Every other part of both inputs, one after the other: the even ones (Half 0) or the odd ones (Half 1).
template <int Half, int... Lane>
constexpr auto every_other(std::integer_sequence<int, Lane...>) {
  return std::integer_sequence<int, (Lane / 4 * 8 + Half * 4 + Lane % 4)...>{};
}
template <int Half>
inline Vec parts(Vec first, Vec second) {
  return shuffle(first, second, every_other<Half>(std::make_integer_sequence<int, kLanes>{}));
}

// Transposes a square of kLanes vectors in place: squares of four by four first, then the parts as if they were lanes.
template <int Lanes>
inline void transpose(Vec (&rows)[Lanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i += 4) {
    const Vec low01 = interleave<1, 0>(rows[i], rows[i + 1]), high01 = interleave<1, 1>(rows[i], rows[i + 1]);
    const Vec low23 = interleave<1, 0>(rows[i + 2], rows[i + 3]), high23 = interleave<1, 1>(rows[i + 2], rows[i + 3]);
    rows[i] = interleave<2, 0>(low01, low23);
    rows[i + 1] = interleave<2, 1>(low01, low23);
    rows[i + 2] = interleave<2, 0>(high01, high23);
    rows[i + 3] = interleave<2, 1>(high01, high23);
  }
  if constexpr (Lanes == 8) {
#pragma GCC unroll 16
    for (int j = 0; j < 4; j++) {
      const Vec even = parts<0>(rows[j], rows[4 + j]), odd = parts<1>(rows[j], rows[4 + j]);
      rows[j] = even;
      rows[4 + j] = odd;
    }
  }
  if constexpr (Lanes == 16) {
#pragma GCC unroll 16
    for (int j = 0; j < 4; j++) {
      const Vec even01 = parts<0>(rows[j], rows[4 + j]), odd01 = parts<1>(rows[j], rows[4 + j]);
      const Vec even23 = parts<0>(rows[8 + j], rows[12 + j]), odd23 = parts<1>(rows[8 + j], rows[12 + j]);
      rows[j] = parts<0>(even01, even23);
      rows[4 + j] = parts<0>(odd01, odd23);
      rows[8 + j] = parts<1>(even01, even23);
      rows[12 + j] = parts<1>(odd01, odd23);
    }
  }
}

// Lane i of the result is the sum over the lanes of rows[i].
inline Vec sum_lanes(const Vec (&rows)[kLanes]) {
  Vec sums[kLanes / 4];  // of four rows each: every part holds a sum over some of the lanes of each of the four
#pragma GCC unroll 16
  for (int i = 0; i < kLanes / 4; i++) {
    const Vec* four = rows + 4 * i;
    const Vec sums01 = interleave<1, 0>(four[0], four[1]) + interleave<1, 1>(four[0], four[1]);
    const Vec sums23 = interleave<1, 0>(four[2], four[3]) + interleave<1, 1>(four[2], four[3]);
    sums[i] = interleave<2, 0>(sums01, sums23) + interleave<2, 1>(sums01, sums23);
  }
#pragma GCC unroll 16
  for (int left = kLanes / 4; left > 1; left /= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < left / 2; i++) {
      sums[i] = parts<0>(sums[2 * i], sums[2 * i + 1]) + parts<1>(sums[2 * i], sums[2 * i + 1]);
    }
  }
  return sums[0];
}

}  // namespace smupar
