// quantd.v1.RecipeService: the built-in recipes.
//
// Thread-safe.
#ifndef QUANTD_SERVER_RECIPE_SERVICE_H_
#define QUANTD_SERVER_RECIPE_SERVICE_H_

#include "quantd/v1/recipe.grpc.pb.h"
#include "server/service_context.h"

namespace quantd {

class RecipeService final : public v1::RecipeService::CallbackService {
 public:
  // `context` must outlive the service.
  explicit RecipeService(const ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* ListRecipes(
      grpc::CallbackServerContext* call, const v1::ListRecipesRequest* request,
      v1::ListRecipesResponse* response) override;
  grpc::ServerUnaryReactor* GetRecipe(grpc::CallbackServerContext* call,
                                      const v1::GetRecipeRequest* request,
                                      v1::Recipe* response) override;

 private:
  absl::Status List(const v1::ListRecipesRequest& request,
                    v1::ListRecipesResponse* response) const;

  const ServiceContext& context_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_RECIPE_SERVICE_H_
