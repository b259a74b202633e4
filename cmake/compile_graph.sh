#!/bin/sh
# compile_graph.sh <name> <graph file> <folder> <compiler> [<flag>...]: runs the compiler of a graph for kiln_add_graph.
name=$1 file=$2 folder=$3 compiler=$4
shift 4
"$compiler" --out "$folder" "$@" || exit
# The compiler names its output after the Graph; under another name an older object would be linked without a word.
if ! [ "$folder/$name.o" -nt "$compiler" ]; then
  echo "$file: kiln_add_graph($name ...) needs the Graph in it to be called \"$name\"; no $folder/$name.o was written" >&2
  exit 2
fi
