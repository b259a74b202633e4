#include "processor.h"
#include "train_command.h"

int main(int argc, char** argv) {
  return kiln::train_command(argc, argv, kiln::model_for_processor(*kiln_linked_model()));
}
