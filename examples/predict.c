/* Predicts the rows of a file of bytes, 784 each, and prints the most probable digit of each:
 *
 *     cc -I runtime examples/predict.c build/libdigits.so -Wl,-rpath,"$PWD/build" -o predict
 *     ./predict runs/digits-1/model.kiln rows.bytes
 */
#include <stdio.h>
#include <stdlib.h>

#include "kiln_predictor.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s model.kiln rows.bytes\n", argv[0]);
    return 2;
  }
  char message[256];
  struct kiln_predictor* predictor = kiln_predictor_open(argv[1], 0, message, sizeof message);
  if (predictor == NULL) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  FILE* file = fopen(argv[2], "rb");
  if (file == NULL) {
    perror(argv[2]);
    return 1;
  }
  const size_t inputs = (size_t)kiln_predictor_input_size(predictor);
  const size_t outputs = (size_t)kiln_predictor_output_size(predictor);
  uint8_t* row = malloc(inputs);
  float* probability = malloc(outputs * sizeof *probability);
  int code = 0;
  while (code == 0 && fread(row, 1, inputs, file) == inputs) {
    code = kiln_predictor_run(predictor, row, 1, probability, message, sizeof message);
    if (code != 0) {
      fprintf(stderr, "%s\n", message);
      break;
    }
    size_t best = 0;
    for (size_t i = 1; i < outputs; ++i) {
      if (probability[i] > probability[best]) best = i;
    }
    printf("%zu %.6f\n", best, (double)probability[best]);
  }
  free(probability);
  free(row);
  fclose(file);
  kiln_predictor_close(predictor);
  return code;
}
