// e^x, a vector at a time.
#pragma once

#include <algorithm>

#include "vec.h"

namespace smupar {

// e^x for x <= 0, to about two units in the last place; 0 below -87. NaN stays NaN.
inline Vec exponential(Vec x) {
  const Vec magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
  const Vec shifted = x * broadcast(1.44269504f) + magic;
  const Vec whole = shifted - magic;
  const Vec r = x - whole * broadcast(0.693359375f) + whole * broadcast(2.12194440e-4f);
  // The polynomial of Cephes' expf (Moshier).
  Vec sum = broadcast(1.9875691500e-4f);
  sum = sum * r + broadcast(1.3981999507e-3f);
  sum = sum * r + broadcast(8.3334519073e-3f);
  sum = sum * r + broadcast(4.1665795894e-2f);
  sum = sum * r + broadcast(1.6666665459e-1f);
  sum = sum * r + broadcast(5.0000001201e-1f);
  sum = sum * r * r + r + broadcast(1.0f);
  const Bits scaled = reinterpret_cast<Bits>(sum) + (reinterpret_cast<Bits>(shifted) << 23);
  const Bits gone = reinterpret_cast<Bits>(x < broadcast(-87.0f));
  return reinterpret_cast<Vec>(scaled & ~gone);
}

}  // namespace smupar
