#pragma once

/* A compiled network's predictor, for C and whatever can call C: Python's ctypes, Rust, Go. kiln_add_graph(digits ...)
 * makes libdigits.so, which has these functions and needs no framework; examples/ has a program in C and one in Python.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One model with its memory and threads. Calls of one predictor must not overlap; several predictors may work at once.
 * In a forked child, one that was idle at the fork works on the calling thread alone, with the same results; for
 * threads open another there. */
struct kiln_predictor;

/* Loads a trained model, runs/<graph>-<n>/model.kiln, to predict with `threads` threads (0: all cores). On failure the
 * result is null and `message`, of `message_size` bytes, holds a line that says why; a null message is not written. */
struct kiln_predictor* kiln_predictor_open(const char* path, int threads, char* message, size_t message_size);

/* Numbers a row: bytes 0..255 that go in, as in the data files, and floats that come out. */
int64_t kiln_predictor_input_size(const struct kiln_predictor* predictor);
int64_t kiln_predictor_output_size(const struct kiln_predictor* predictor);

/* Predicts `count` rows that lie one after the other, row-major; so do the outputs. Few rows are predicted one by one,
 * many in batches. Returns 0, or an exit code of the command lines: 1 failure, 2 a negative
 * count, 4 values that are not finite; then `outputs` holds nothing of use and `message` a line. */
int kiln_predictor_run(struct kiln_predictor* predictor, const uint8_t* rows, int64_t count, float* outputs,
                       char* message, size_t message_size);

/* Frees all of it; a null predictor is nothing to do. */
void kiln_predictor_close(struct kiln_predictor* predictor);

#ifdef __cplusplus
}
#endif
