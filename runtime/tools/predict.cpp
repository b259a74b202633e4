#include "predict_command.h"

int main(int argc, char** argv) { return kiln::predict_command(argc, argv, *kiln_linked_model()); }
