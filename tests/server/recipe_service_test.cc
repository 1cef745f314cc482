#include "server/recipe_service.h"

#include <algorithm>

#include "tests/testing/grpc_matchers.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RecipeServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start());
  }
  std::unique_ptr<InProcessServer> server_;
};

TEST_F(RecipeServiceTest, PagesShowEveryRecipeOnceSorted) {
  std::vector<std::string> names;
  v1::ListRecipesRequest request;
  request.set_page_size(1);
  do {
    grpc::ClientContext context;
    v1::ListRecipesResponse page;
    ASSERT_THAT(server_->recipes().ListRecipes(&context, request, &page),
                IsGrpcOk());
    ASSERT_EQ(page.recipes_size(), 1);
    names.push_back(page.recipes(0).name());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_THAT(names, Contains("gptq"));
  EXPECT_THAT(names, Contains("rtn"));
}

TEST_F(RecipeServiceTest, ARecipeIsShownByName) {
  grpc::ClientContext context;
  v1::GetRecipeRequest request;
  request.set_name("gptq");
  v1::Recipe recipe;
  ASSERT_THAT(server_->recipes().GetRecipe(&context, request, &recipe),
              IsGrpcOk());
  EXPECT_TRUE(recipe.needs_calibration());
  EXPECT_NE(recipe.citation(), "");
}

TEST_F(RecipeServiceTest, AnUnknownRecipeIsNotFound) {
  grpc::ClientContext context;
  v1::GetRecipeRequest request;
  request.set_name("alchemy");
  v1::Recipe recipe;
  EXPECT_THAT(server_->recipes().GetRecipe(&context, request, &recipe),
              GrpcStatusIs(grpc::StatusCode::NOT_FOUND, HasSubstr("alchemy")));
}

}  // namespace
}  // namespace quantd::test
