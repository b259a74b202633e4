/* One call of a compiled program, on whatever processor this is built for: nothing but the object and program.h.
 *
 *   emulated_step PROGRAM THREADS FILE
 *
 * reads FILE (scalars, arena, state) and writes arena and state, as they are after the call, back to it. KILN_TEST_MODEL
 * is the model's symbol. The indices of parallel loops are taken by that many threads; with 0, by one and backwards. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

extern const struct kiln_model KILN_TEST_MODEL;

struct loop {
  int (*task)(void* context, int index, uint8_t* closure);
  void* context;
  uint8_t* closure;
  int end;
  atomic_int next, result;
};

static int thread_count;
static _Thread_local int inside_task;

static void* take_indices(void* argument) {
  struct loop* loop = argument;
  inside_task = 1;
  for (int i; (i = atomic_fetch_add(&loop->next, 1)) < loop->end;) {
    const int result = loop->task(loop->context, i, loop->closure);
    if (result != 0) loop->result = result;
  }
  inside_task = 0;
  return NULL;
}

int kiln_parallel_for(void* context, int (*task)(void* context, int index, uint8_t* closure), int begin, int count,
                      uint8_t* closure) {
  if (thread_count < 2 || inside_task) {
    int result = 0;
    for (int i = 0; i < count; ++i) {
      const int r = task(context, thread_count == 0 ? begin + count - 1 - i : begin + i, closure);
      if (r != 0) result = r;
    }
    return result;
  }
  struct loop loop = {task, context, closure, begin + count, begin, 0};
  pthread_t threads[16];
  for (int t = 1; t < thread_count; ++t) {
    if (pthread_create(&threads[t], NULL, take_indices, &loop) != 0) abort();
  }
  take_indices(&loop);
  for (int t = 1; t < thread_count; ++t) pthread_join(threads[t], NULL);
  return loop.result;
}

void* kiln_allocate(void* context, uint64_t bytes) {
  (void)context;
  return aligned_alloc(64, (bytes + 127) / 64 * 64);
}

void kiln_release(void* context, void* pointer) {
  (void)context;
  free(pointer);
}

static int failed(const char* what) {
  fprintf(stderr, "emulated_step: %s\n", what);
  return 1;
}

int main(int argc, char** argv) {
  const struct kiln_model* model = &KILN_TEST_MODEL;
  if (argc != 4) return failed("wants PROGRAM THREADS FILE");
  if (model->version != KILN_MODEL_VERSION) return failed("tables of another version");
  const struct kiln_program* programs[] = {model->train, model->evaluate, model->predict, model->predict_one};
  const struct kiln_program* program = NULL;
  for (int i = 0; i < 4; ++i) {
    if (programs[i] != NULL && strcmp(programs[i]->name, argv[1]) == 0) program = programs[i];
  }
  if (program == NULL) return failed("no such program");
  thread_count = atoi(argv[2]);
  if (thread_count < 0 || thread_count > 16) return failed("wants 0 to 16 threads");

  struct kiln_scalars scalars;
  uint8_t* arena = kiln_allocate(NULL, program->arena_bytes);
  uint8_t* state = kiln_allocate(NULL, model->state_bytes);
  FILE* file = fopen(argv[3], "r+b");
  if (file == NULL || fread(&scalars, sizeof scalars, 1, file) != 1 ||
      fread(arena, 1, program->arena_bytes, file) != program->arena_bytes ||
      fread(state, 1, model->state_bytes, file) != model->state_bytes || fgetc(file) != EOF)
    return failed("a file of another size");
  if (program->prepare != NULL) program->prepare(NULL, arena, state, &scalars);
  program->step(NULL, arena, state, &scalars);
  rewind(file);
  if (fwrite(arena, 1, program->arena_bytes, file) != program->arena_bytes ||
      fwrite(state, 1, model->state_bytes, file) != model->state_bytes || fclose(file) != 0)
    return failed("cannot write");
  return 0;
}
