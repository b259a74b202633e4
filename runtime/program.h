/* What generated/<graph>/<graph>.o contains: constant tables and the functions of its programs. Plain C, so that the
 * object can be used without the rest of the runtime. The compiler writes these structures with LLVM; change them
 * together with compiler/codegen/descriptor.cpp, and the version with them. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_MODEL_VERSION 4

enum kiln_element { KILN_F32 = 0, KILN_I32 = 1 };
enum kiln_initializer { KILN_CONSTANT = 0, KILN_UNIFORM = 1, KILN_NORMAL = 2 };
enum kiln_parameter_kind { KILN_TRAINABLE = 0, KILN_STATISTIC = 1, KILN_OPTIMIZER_STATE = 2 };

/* A tensor of the state block: a weight, a moving statistic or optimizer state; row-major. */
struct kiln_parameter {
  const char* name; /* "conv2d_1/kernel" */
  int32_t kind;     /* kiln_parameter_kind */
  int32_t rank;
  const int64_t* shape;
  uint64_t offset;     /* bytes from the beginning of the state block, a multiple of 64 */
  uint64_t count;      /* elements, f32 */
  int32_t initializer; /* kiln_initializer */
  float scale;         /* the constant, half-width or standard deviation */
};

/* An input or output of a program in its arena. A batch tensor is stored with the batch innermost: element i of
 * sample n is at [i * lanes + n]. One without the batch is row-major. */
struct kiln_value {
  const char* name;
  int32_t element; /* kiln_element */
  int32_t batched; /* 1: has the batch dimension (not counted in rank and shape) */
  int32_t rank;
  int32_t classes; /* of a label input: values 0..classes-1; else 0 */
  const int64_t* shape;
  uint64_t offset; /* bytes from the beginning of the arena */
  uint64_t count;  /* elements of one sample, or of the whole when not batched */
};

/* What a step is given besides the arena and the state. */
struct kiln_scalars {
  float learning_rate;
  int32_t step; /* steps done before this one: the counter of the random numbers */
  int32_t seed;
  int32_t count; /* rows of this batch that hold data, 1..batch; the lanes behind are ignored, but must hold what data
                    could be, so that what is computed of them is finite: repeat a row */
  float label_smoothing; /* of the losses that leave it open: 0 for none */
};

/* `context` is handed to the runtime's kiln_parallel_for, kiln_allocate and kiln_release. */
typedef void (*kiln_function)(void* context, uint8_t* arena, uint8_t* state, const struct kiln_scalars* scalars);

struct kiln_kernel {
  const char* name; /* "conv2d_1.weight_gradient" */
  const char* file; /* of the graph, and the line the kernel came from */
  int32_t line;
  int32_t reserved;
  const char* schedule; /* "recipe=rows tile=6", in the words of --schedule */
  double flops;         /* at a full batch, a multiply-add counted as two, padding's zeros included */
  double bytes;         /* read and written, each buffer once */
  kiln_function run;
};

struct kiln_program {
  const char* name;     /* "train", "evaluate", "predict", "predict_one" */
  int32_t batch;        /* rows a call takes at most; storage is padded to `lanes` */
  int32_t lanes;        /* innermost extent of batched tensors: the batch rounded up to whole vectors */
  uint64_t arena_bytes; /* the arena must be 64-byte aligned */
  int32_t input_count, output_count, kernel_count;
  int32_t prepared_count; /* the first so many kernels are those of `prepare` */
  const struct kiln_value* inputs;
  const struct kiln_value* outputs;  /* "loss" and the metrics (means over the count), or the graph's outputs */
  const struct kiln_kernel* kernels; /* in their order; the last may be "copies" */
  kiln_function step;                /* all kernels but the prepared ones */
  kiln_function prepare;             /* what depends on weights only: to be called before the first step, and when
                                        weights have changed; its results stay in the arena. Null: nothing to do */
};

struct kiln_model {
  uint32_t version; /* KILN_MODEL_VERSION */
  int32_t parameter_count;
  const char* name;        /* "digits" */
  const char* fingerprint; /* 16 hexadecimal digits over operators, shapes and attributes: a saved state fits or not */
  const char* compiler;    /* "Kiln 0.1.0, Halide 21.0.0, LLVM 22.1.8" */
  const char* target;      /* what the kernels need of the processor */
  const char* precision;   /* of what contractions multiply: "f32", or "mixed" for bf16 with sums in f32 */
  uint64_t state_bytes;    /* trainable weights, then statistics, then optimizer state */
  uint64_t weight_bytes;   /* the leading part that prediction needs: weights and statistics */
  const struct kiln_parameter* parameters;
  const struct kiln_program* train;    /* null when the graph has no train() */
  const struct kiln_program* evaluate; /* likewise */
  const struct kiln_program* predict;
  const struct kiln_program* predict_one; /* the same for a single row, as fast as one row can be */
  float learning_rate, validation_split;  /* the graph file's defaults */
  int32_t epochs;
  int32_t clips_gradients; /* 1: what the optimizer gets may be smaller than the gradient */
  int32_t smooths_labels;  /* 1: the loss reads kiln_scalars' label_smoothing */
  const char* optimizer;   /* "rmsprop" */
  const char* summary;     /* the layer table, UTF-8 */
  const char* summary_json;
  const char* dot; /* the picture of the model */
  const char* svg;
  const char* gradient_dot; /* and of its gradient graph */
  const char* gradient_svg;
  const char* structure;         /* the graph as it was written, as JSON: what exports are made from */
  const struct kiln_model* next; /* the same graph for a less capable processor, or null; state and results fit both */
};

/* The one symbol that the object defines for others: <name>_model, declared in <name>.h. The runtime's tools take the
 * model of the graph that they are linked with from this function, which the build generates. */
const struct kiln_model* kiln_linked_model(void);

/* What the kernels call; runtime/parallel.cpp defines them. */
int kiln_parallel_for(void* context, int (*task)(void* context, int index, uint8_t* closure), int begin, int count,
                      uint8_t* closure);
void* kiln_allocate(void* context, uint64_t bytes);
void kiln_release(void* context, void* pointer);

#ifdef __cplusplus
}
#endif
