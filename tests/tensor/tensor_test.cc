#include "tensor/tensor.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;

TEST(TensorTest, DefaultIsEmpty) {
  const Tensor t;
  EXPECT_EQ(t.size(), 0);
  EXPECT_EQ(t.rows(), 0);
}

TEST(TensorTest, CopiesShareStorageAndClonesDoNot) {
  Tensor a = Tensor::Zeros({2, 3});
  Tensor shared = a;
  Tensor cloned = a.Clone();
  a.row(1)[2] = 5;
  EXPECT_EQ(shared.row(1)[2], 5);
  EXPECT_EQ(cloned.row(1)[2], 0);
}

TEST(TensorTest, RowsAreAViewIntoTheMatrix) {
  Tensor a = Tensor::FromValues({3, 2}, {1, 2, 3, 4, 5, 6});
  Tensor middle = a.Rows(1, 1);
  EXPECT_THAT(middle.values(), ElementsAre(3, 4));
  middle.data()[0] = 9;
  EXPECT_EQ(a.row(1)[0], 9);
  EXPECT_THAT(a.Rows(1, 2).Rows(1, 1).values(), ElementsAre(5, 6));
}

TEST(TensorTest, MatrixViewFoldsLeadingAxes) {
  const Tensor a = Tensor::Zeros({2, 3, 4});
  EXPECT_EQ(a.rows(), 6);
  EXPECT_EQ(a.cols(), 4);
  EXPECT_EQ(a.Reshaped({4, 6}).rows(), 4);
  EXPECT_EQ(ShapeToString(a.shape()), "[2, 3, 4]");
}

}  // namespace
}  // namespace quantd
