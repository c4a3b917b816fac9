#include "format/tensor.h"

#include "format/checked.h"

namespace galatea {

std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return out + "]";
}

std::uint64_t element_count(const Shape& shape) {
  return checked_product(shape, "the number of values of a tensor");
}

MatrixShape matrix_shape(const Shape& shape, DType type) {
  const std::uint64_t elements = element_count(shape);
  if (shape.size() < 2)
    return type_info(type).quantized() ? MatrixShape{1, elements} : MatrixShape{elements, 1};
  const std::uint64_t cols = shape.back();
  return {cols == 0 ? 0 : elements / cols, cols};
}

std::vector<float> read_all_f32(const Tensor& tensor, std::uint64_t limit) {
  const std::uint64_t elements = checked_mul(tensor.data->rows(), tensor.data->cols(), "tensor size");
  if (elements > limit) {
    throw Error(ErrorKind::input, "tensor is larger than it can be here")
        .tensor(tensor.name)
        .file(tensor.file)
        .expected("at most " + std::to_string(limit) + " values")
        .found(std::to_string(elements));
  }
  std::vector<float> out(static_cast<std::size_t>(elements));
  tensor.data->read_f32(0, tensor.data->rows(), out);
  return out;
}

}  // namespace galatea
