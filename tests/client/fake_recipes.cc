#include "tests/client/fake_answers.h"
#include "tests/client/fake_quantd.h"

namespace quantd::test {
namespace {

using ::grpc::ServerContext;
using ::grpc::Status;

}  // namespace

class FakeQuantd::Recipes : public v1::RecipeService::Service {
 public:
  explicit Recipes(FakeQuantd* fake) : fake_(*fake) {}

  Status ListRecipes(ServerContext*, const v1::ListRecipesRequest*,
                     v1::ListRecipesResponse* response) override {
    if (Status s = fake_.Enter("ListRecipes"); !s.ok()) return s;
    *response->add_recipes() = Make("gptq");
    *response->add_recipes() = Make("rtn");
    return Status::OK;
  }

  Status GetRecipe(ServerContext*, const v1::GetRecipeRequest* request,
                   v1::Recipe* recipe) override {
    if (Status s = fake_.Enter("GetRecipe"); !s.ok()) return s;
    if (request->name() != "gptq" && request->name() != "rtn") {
      return NotFound(request->name());
    }
    *recipe = Make(request->name());
    return Status::OK;
  }

 private:
  static v1::Recipe Make(const std::string& name) {
    v1::Recipe recipe;
    recipe.set_name(name);
    recipe.set_title("Title of " + name);
    recipe.set_citation("Citation of " + name);
    if (name == "gptq") {
      recipe.set_needs_calibration(true);
      recipe.add_stages()->mutable_gptq()->set_damping(0.05);
    } else {
      recipe.add_stages()->mutable_rtn();
    }
    return recipe;
  }

  FakeQuantd& fake_;
};

std::unique_ptr<grpc::Service> FakeQuantd::NewRecipes() {
  return std::make_unique<Recipes>(this);
}

}  // namespace quantd::test
