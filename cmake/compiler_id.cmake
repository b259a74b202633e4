# cmake -DLIBRARY=<file> -DHEADER=<file> -P compiler_id.cmake: writes the header with the library's hash, KILN_COMPILER_ID.
file(SHA256 ${LIBRARY} hash)
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#pragma once\n\n#define KILN_COMPILER_ID \"${hash}\"\n")
