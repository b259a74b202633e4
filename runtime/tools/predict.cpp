#include "predict_command.h"
#include "processor.h"

int main(int argc, char** argv) {
  return kiln::predict_command(argc, argv, kiln::model_for_processor(*kiln_linked_model()));
}
