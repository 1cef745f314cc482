#include "server/recipe_service.h"

#include <string>

#include "base/status_macros.h"
#include "quantizers/recipe.h"
#include "server/resource_listing.h"
#include "server/unary_call.h"

namespace quantd {
namespace {

constexpr char kScope[] = "recipes";

}  // namespace

grpc::ServerUnaryReactor* RecipeService::ListRecipes(
    grpc::CallbackServerContext* call, const v1::ListRecipesRequest* request,
    v1::ListRecipesResponse* response) {
  return ServeUnary<v1::ListRecipesRequest, v1::ListRecipesResponse>(
      context_, call, "ListRecipes", request, response,
      [this](const v1::ListRecipesRequest& input,
             v1::ListRecipesResponse* page) { return List(input, page); });
}

absl::Status RecipeService::List(const v1::ListRecipesRequest& request,
                                 v1::ListRecipesResponse* response) const {
  const PageTokens& tokens = *context_.page_tokens;
  ASSIGN_OR_RETURN(const std::string after,
                   tokens.Decode(kScope, request.page_token()));
  const size_t page_size = EffectivePageSize(request.page_size());
  for (const v1::Recipe& recipe : BuiltinRecipes()) {
    if (recipe.name() <= after) continue;
    const int count = response->recipes_size();
    if (static_cast<size_t>(count) == page_size) {
      response->set_next_page_token(
          tokens.Encode(kScope, response->recipes(count - 1).name()));
      break;
    }
    *response->add_recipes() = recipe;
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* RecipeService::GetRecipe(
    grpc::CallbackServerContext* call, const v1::GetRecipeRequest* request,
    v1::Recipe* response) {
  return ServeUnary<v1::GetRecipeRequest, v1::Recipe>(
      context_, call, "GetRecipe", request, response,
      [](const v1::GetRecipeRequest& input, v1::Recipe* recipe) {
        ASSIGN_OR_RETURN(*recipe, FindBuiltinRecipe(input.name()));
        return absl::OkStatus();
      });
}

}  // namespace quantd
