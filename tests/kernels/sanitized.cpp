// Runs the kernels without PyTorch, so that it builds in seconds under a sanitizer: reads a case from standard input,
// writes outputs, gradient for inputs and gradient for values (in the order of the backward pass's entries, and again
// without that for inputs) to standard output, for every width of tile in turn. Every array has exactly the length it
// must have, and memory of its own. With an argument, scratch memory is aligned wrongly.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "backward.h"
#include "forward.h"

using namespace smupar;

namespace {

template <class T>
std::vector<T> receive(int64_t count) {
  std::vector<T> values(count);
  if (count > 0 && std::fread(values.data(), sizeof(T), count, stdin) != static_cast<size_t>(count)) std::exit(3);
  return values;
}

void send(const std::vector<float>& values) {
  if (!values.empty()) std::fwrite(values.data(), sizeof(float), values.size(), stdout);
}

int64_t misalignment = 0;

// Aligned as the kernels want it, and full of NaN: whatever is read before it is written shows.
class Scratch {
 public:
  explicit Scratch(int64_t floats)
      : memory_(static_cast<float*>(
            operator new((floats + misalignment) * sizeof(float), std::align_val_t(kAlignment)))) {
    std::fill_n(get(), floats, std::numeric_limits<float>::quiet_NaN());
  }
  Scratch(const Scratch&) = delete;
  ~Scratch() { operator delete(memory_, std::align_val_t(kAlignment)); }
  float* get() const { return memory_ + misalignment; }

 private:
  float* memory_;
};

struct Case {
  int64_t tokens, rows, columns;
  std::vector<float> inputs, bias, upstream, values, values_t;  // values in the order of either structure
};

template <int N>
void forward(const Case& given, const Panels& weight) {
  constexpr int64_t tile = N * kLanes;
  std::vector<float> outputs(given.tokens * given.rows);
  for (int64_t t = 0; t < given.tokens; t += tile) {
    const Scratch scratch(forward_scratch(weight, tile));
    forward_tile<N>(weight, given.inputs.data() + t * given.columns, std::min(tile, given.tokens - t),
                    given.values.data(), given.bias.data(), scratch.get(), outputs.data() + t * given.rows);
  }
  send(outputs);
}

template <int N, bool ForInputs>
void backward(const Case& given, const Panels& weight) {
  constexpr int64_t tile = N * kLanes;
  std::vector<float> for_inputs(ForInputs ? given.tokens * given.columns : 0), for_values(given.values_t.size(),
                                                                                 std::numeric_limits<float>::quiet_NaN());
  for (int64_t t = 0; t < given.tokens; t += tile) {
    const int64_t tokens = std::min(tile, given.tokens - t);
    const Scratch packed(given.rows * tile);
    pack(given.upstream.data() + t * given.rows, given.rows, tokens, given.rows, packed.get(), tile);
    for (int64_t p = 0; p < weight.panels(); p++) {
      const Scratch scratch(backward_scratch(weight, tile));
      const int64_t corner = t * given.columns + p * weight.panel;
      backward_tile<N, ForInputs>(weight, p, packed.get(), given.inputs.data() + corner, tokens,
                                  given.values_t.data(), scratch.get(),
                                  ForInputs ? for_inputs.data() + corner : nullptr, for_values.data(), t == 0);
    }
  }
  if (ForInputs) send(for_inputs);
  send(for_values);
}

template <int N>
void each_width(const Case& given, const Panels& rows, const Panels& columns) {
  forward<N>(given, rows);
  backward<N, true>(given, columns);
  backward<N, false>(given, columns);
  if constexpr (N < kRegisters / 4) each_width<2 * N>(given, rows, columns);
}

}  // namespace

int main(int count, char**) {
  misalignment = count - 1;
  const auto sizes = receive<int64_t>(10);
  const int64_t tokens = sizes[0], rows = sizes[1], columns = sizes[2], entries = sizes[3];
  Case given{tokens, rows, columns, receive<float>(tokens * columns), receive<float>(rows),
             receive<float>(tokens * rows), receive<float>(entries), receive<float>(entries)};
  const auto index = receive<uint16_t>(entries), index_t = receive<uint16_t>(entries);
  const auto starts = receive<int32_t>(sizes[8]), starts_t = receive<int32_t>(sizes[9]);
  each_width<1>(given, Panels{index.data(), starts.data(), rows, columns, sizes[4], sizes[5]},
                Panels{index_t.data(), starts_t.data(), columns, rows, sizes[6], sizes[7]});
}
