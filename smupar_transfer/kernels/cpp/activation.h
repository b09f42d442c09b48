// GELU and its derivative, element by element.
#pragma once

#include "exponential.h"

namespace smupar {

struct Normal {
  Vec below;    // Phi(x), the part of a standard normal that lies below x
  Vec density;  // of it at x
};

// Both share one exponential. The rational approximation is Abramowitz and Stegun's 7.1.26: to 1e-7, absolutely.
inline Normal normal_at(Vec x) {
  const Vec zero{}, size = x < zero ? -x : x;
  const Vec bell = exponential(x * x * broadcast(-0.5f));
  const Vec t = broadcast(1.0f) / (broadcast(1.0f) + broadcast(0.3275911f * 0.70710678f) * size);
  Vec sum = broadcast(1.061405429f);
  sum = sum * t + broadcast(-1.453152027f);
  sum = sum * t + broadcast(1.421413741f);
  sum = sum * t + broadcast(-0.284496736f);
  sum = sum * t + broadcast(0.254829592f);
  const Vec beyond = broadcast(0.5f) * sum * t * bell;  // lies further out than |x|, on one side
  return {x < zero ? beyond : broadcast(1.0f) - beyond, bell * broadcast(0.39894228f)};
}

// out[i] = x[i] Phi(x[i]) for i < count
template <class Number>
void gelu(const Number* x, int64_t count, Number* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int width = static_cast<int>(std::min<int64_t>(count - i, kLanes));
    const Vec here = load_loose(x + i, width);
    store_loose(out + i, here * normal_at(here).below, width);
  }
}

// out[i] = gradient[i] d gelu / dx (x[i])
template <class Number>
void gelu_backward(const Number* gradient, const Number* x, int64_t count, Number* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int width = static_cast<int>(std::min<int64_t>(count - i, kLanes));
    const Vec here = load_loose(x + i, width);
    const Normal normal = normal_at(here);
    store_loose(out + i, load_loose(gradient + i, width) * (normal.below + here * normal.density), width);
  }
}

}  // namespace smupar
