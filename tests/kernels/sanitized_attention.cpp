// Runs the attention and GELU kernels without PyTorch, for sanitizers: reads (heads, time, channels, whether there is a
// bias) and arrays from standard input, writes weighted values, gradients of queries, keys and values, GELU of those
// gradients, their gradient under it with themselves upstream, the gradients rounded to bfloat16, and GELU of those in
// bfloat16 to standard output. Every array has exactly the length
// it must have; scratch and weights are full of NaN. With an argument, scratch is too short.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "activation.h"
#include "attention.h"

using namespace smupar;

namespace {

std::vector<float> receive(int64_t count) {
  std::vector<float> values(count);
  if (std::fread(values.data(), sizeof(float), count, stdin) != static_cast<size_t>(count)) std::exit(3);
  return values;
}

struct Free {
  void operator()(float* memory) const { operator delete(memory, std::align_val_t(kAlignment)); }
};

std::unique_ptr<float, Free> aligned_floats(int64_t count) {
  auto* memory = static_cast<float*>(operator new(count * sizeof(float), std::align_val_t(kAlignment)));
  std::fill_n(memory, count, std::numeric_limits<float>::quiet_NaN());
  return std::unique_ptr<float, Free>(memory);
}

}  // namespace

int main(int count, char**) {
  int64_t sizes[4];
  if (std::fread(sizes, sizeof(int64_t), 4, stdin) != 4) return 3;
  const auto [heads, time, channels, biased] = sizes;
  const int64_t row = heads * channels;
  const Head head{time, channels, 3 * row};
  const std::vector<float> qkv = receive(time * 3 * row), upstream = receive(time * row);
  const std::vector<float> bias = receive(biased ? heads * time * time : 0);
  std::vector<float> out(time * row), gradient(time * 3 * row);
  for (int64_t h = 0; h < heads; h++) {
    const float* q = qkv.data() + h * channels;
    float* dq = gradient.data() + h * channels;
    const auto weights = aligned_floats(time * head.width());
    const auto scratch = aligned_floats(head.scratch() - (count > 1 ? kLanes : 0)), more = aligned_floats(head.scratch() + time * head.width());
    attend(head, q, q + row, q + 2 * row, biased ? bias.data() + h * time * time : nullptr, time, 0.3f, scratch.get(),
           weights.get(), out.data() + h * channels, row);
    attend_backward(head, q, q + row, q + 2 * row, weights.get(), upstream.data() + h * channels, row, 0.3f, more.get(),
                    dq, dq + row, dq + 2 * row);
  }
  std::vector<float> activated(gradient.size()), through(gradient.size());
  gelu(gradient.data(), gradient.size(), activated.data());
  gelu_backward(gradient.data(), gradient.data(), gradient.size(), through.data());
  std::vector<BFloat16> brief(gradient.size()), brief_out(gradient.size());
  std::vector<float> rounded(gradient.size()), brief_activated(gradient.size());
  for (size_t i = 0; i < brief.size(); i += kLanes) {
    const int width = static_cast<int>(std::min<size_t>(brief.size() - i, kLanes));
    store_loose(brief.data() + i, load_loose(gradient.data() + i, width), width);
    store_loose(rounded.data() + i, load_loose(brief.data() + i, width), width);
  }
  gelu(brief.data(), brief.size(), brief_out.data());
  for (size_t i = 0; i < brief.size(); i++) store_loose(brief_activated.data() + i, load_loose(brief_out.data() + i, 1), 1);
  std::fwrite(out.data(), sizeof(float), out.size(), stdout);
  for (const auto& part : {gradient, activated, through, rounded, brief_activated})
    std::fwrite(part.data(), sizeof(float), part.size(), stdout);
}
