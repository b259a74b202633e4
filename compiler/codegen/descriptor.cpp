#include "codegen/descriptor.h"

#include <llvm/IR/Constants.h>

#include <algorithm>

#include "codegen/kernel_bitcode.h"
#include "driver/version.h"
#include "ops/input.h"
#include "ops/one_hot.h"
#include "ops/parameter.h"
#include "ops/scalar.h"
#include "passes/cost.h"

namespace kiln {
namespace {

/// Mirrors runtime/program.h field by field; natural alignment makes the layouts equal.
class DescriptorBuilder {
 public:
  DescriptorBuilder(llvm::Module& module, const Model& model)
      : module_(module), model_(model), context_(module.getContext()) {}

  /// The model's table; `next` is that of the next variant, or null.
  llvm::GlobalVariable* build(const std::vector<StepFunctions>& functions, llvm::Constant* next) {
    std::vector<llvm::Constant*> parameters;
    for (NodeId id : model_.state.parameters) parameters.push_back(parameter(model_.state_graph.node(id)));
    std::map<std::string, llvm::Constant*> programs;
    for (size_t p = 0; p < model_.programs.size(); ++p) {
      programs[model_.programs[p].name] = global(program(model_.programs[p], functions[p]));
    }
    const auto named = [&](const char* name) { return programs.count(name) ? programs.at(name) : null(); };
    const Optimizer& optimizer = model_.graph.optimizer;
    llvm::Constant* model = structure({
        u32(KilnModelVersion),
        u32(static_cast<uint32_t>(parameters.size())),
        text(model_.name),
        text(model_.fingerprint),
        text(compiler_version()),
        text(model_.target),
        text(to_string(model_.graph.precision)),
        u64(static_cast<uint64_t>(model_.state.bytes)),
        u64(static_cast<uint64_t>(model_.state.weight_bytes)),
        array(parameters),
        named("train"),
        named("evaluate"),
        named("predict"),
        named("predict_one"),
        f32(static_cast<float>(optimizer.learning_rate)),
        f32(static_cast<float>(model_.graph.validation_split)),
        u32(static_cast<uint32_t>(model_.graph.epochs)),
        u32(optimizer.clip_value != 0 || optimizer.clip_norm != 0 || optimizer.global_clip_norm != 0 ? 1 : 0),
        u32(smooths_labels() ? 1 : 0),
        text(optimizer.name),
        text(model_.summary),
        text(model_.summary_json),
        text(model_.dot),
        text(model_.svg),
        text(model_.gradient_dot),
        text(model_.gradient_svg),
        text(model_.structure),
        next == nullptr ? null() : next,
    });
    return new llvm::GlobalVariable(module_, model->getType(), true, llvm::GlobalValue::PrivateLinkage, model);
  }

 private:
  static constexpr uint32_t KilnModelVersion = 4;  // KILN_MODEL_VERSION

  llvm::Constant* u32(uint32_t value) { return llvm::ConstantInt::get(llvm::Type::getInt32Ty(context_), value); }
  llvm::Constant* u64(uint64_t value) { return llvm::ConstantInt::get(llvm::Type::getInt64Ty(context_), value); }
  llvm::Constant* f32(float value) { return llvm::ConstantFP::get(llvm::Type::getFloatTy(context_), value); }
  llvm::Constant* f64(double value) { return llvm::ConstantFP::get(llvm::Type::getDoubleTy(context_), value); }
  llvm::Constant* null() { return llvm::ConstantPointerNull::get(llvm::PointerType::get(context_, 0)); }
  llvm::Constant* structure(const std::vector<llvm::Constant*>& fields) {
    return llvm::ConstantStruct::getAnon(context_, fields);
  }
  llvm::Constant* global(llvm::Constant* value) {
    auto* variable =
        new llvm::GlobalVariable(module_, value->getType(), true, llvm::GlobalValue::PrivateLinkage, value);
    variable->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);  // variants say much the same: kept once
    return variable;
  }
  llvm::Constant* text(const std::string& value) { return global(llvm::ConstantDataArray::getString(context_, value)); }
  llvm::Constant* array(const std::vector<llvm::Constant*>& values) {
    if (values.empty()) return null();
    return global(llvm::ConstantArray::get(llvm::ArrayType::get(values[0]->getType(), values.size()), values));
  }
  llvm::Constant* shape(const Shape& shape) {
    std::vector<llvm::Constant*> extents;
    for (int64_t extent : shape) {
      if (extent != kBatch) extents.push_back(u64(static_cast<uint64_t>(extent)));
    }
    return array(extents);
  }

  bool smooths_labels() const {
    return std::any_of(model_.programs.begin(), model_.programs.end(), [](const Program& program) {
      return std::any_of(program.graph.nodes.begin(), program.graph.nodes.end(), [](const Node& node) {
        return node.op == &scalar_operator && std::get<std::string>(node.attributes.at("name")) == "label_smoothing";
      });
    });
  }

  llvm::Constant* parameter(const Node& node) {
    const StateEntry& entry = model_.state.entries.at(std::get<std::string>(node.attributes.at("name")));
    const bool trainable = std::get<bool>(node.attributes.at("trainable"));
    return structure({text(entry.name),
                      u32(trainable                   ? 0
                          : node.role == Role::update ? 2
                                                      : 1),
                      u32(static_cast<uint32_t>(node.type.shape.size())), shape(node.type.shape),
                      u64(static_cast<uint64_t>(entry.offset)), u64(static_cast<uint64_t>(entry.count)),
                      u32(static_cast<uint32_t>(std::get<int64_t>(node.attributes.at("initializer")))),
                      f32(static_cast<float>(std::get<double>(node.attributes.at("scale"))))});
  }

  llvm::Constant* value(const Program& program, const std::string& name, NodeId id) {
    const Node& node = program.graph.node(id);
    const bool batched = has_batch(node.type.shape);
    const int64_t classes = label_classes(program.graph, id);
    return structure({text(name), u32(node.type.element == ElementType::real ? 0 : 1), u32(batched),
                      u32(static_cast<uint32_t>(node.type.shape.size() - batched)), u32(static_cast<uint32_t>(classes)),
                      shape(node.type.shape), u64(static_cast<uint64_t>(program.placements[id].offset)),
                      u64(static_cast<uint64_t>(element_count(node.type.shape, 1)))});
  }

  llvm::Constant* program(const Program& program, const StepFunctions& functions) {
    std::vector<llvm::Constant*> inputs, outputs, kernels;
    for (const Node& node : program.graph.nodes) {
      if (node.op == &input_operator)
        inputs.push_back(value(program, std::get<std::string>(node.attributes.at("name")), node.id));
    }
    if (program.graph.loss) outputs.push_back(value(program, "loss", *program.graph.loss));
    for (const Output& metric : program.graph.metrics) outputs.push_back(value(program, metric.name, metric.node));
    for (const Output& output : program.graph.outputs) outputs.push_back(value(program, output.name, output.node));
    for (size_t k = 0; k < program.kernels.size(); ++k) {
      const Kernel& kernel = program.kernels[k];
      const Node& anchor = program.graph.node(kernel.anchors[0]);
      const KernelCost work = cost(program, kernel);
      kernels.push_back(
          structure({text(kernel.name), text(anchor.location.file), u32(static_cast<uint32_t>(anchor.location.line)),
                     u32(0), text(to_string(kernel_knobs(program, kernel, model_.target))), f64(work.flops),
                     f64(work.bytes), functions.kernels[k]}));
    }
    if (!program.copies.empty()) {
      const Location& location = program.graph.node(program.copies[0].from).location;
      double bytes = 0;
      for (const Copy& copy : program.copies) bytes += 2.0 * static_cast<double>(copy.bytes);
      kernels.push_back(structure({text("copies"), text(location.file), u32(static_cast<uint32_t>(location.line)),
                                   u32(0), text(""), f64(0), f64(bytes), functions.kernels.back()}));
    }
    return structure({text(program.name), u32(static_cast<uint32_t>(program.batch)),
                      u32(static_cast<uint32_t>(program.lanes)), u64(static_cast<uint64_t>(program.arena_bytes)),
                      u32(static_cast<uint32_t>(inputs.size())), u32(static_cast<uint32_t>(outputs.size())),
                      u32(static_cast<uint32_t>(kernels.size())), u32(static_cast<uint32_t>(program.prepared)),
                      array(inputs), array(outputs), array(kernels), functions.step,
                      functions.prepare == nullptr ? null() : functions.prepare});
  }

  llvm::Module& module_;
  const Model& model_;
  llvm::LLVMContext& context_;
};

}  // namespace

void build_descriptor(llvm::Module& module, const std::vector<Model>& variants,
                      const std::vector<std::vector<StepFunctions>>& functions) {
  llvm::GlobalVariable* model = nullptr;
  for (size_t v = variants.size(); v-- > 0;) model = DescriptorBuilder(module, variants[v]).build(functions[v], model);
  model->setName(variants[0].name + "_model");
  model->setLinkage(llvm::GlobalValue::ExternalLinkage);
}

}  // namespace kiln
