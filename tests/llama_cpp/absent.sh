#!/bin/sh
# Stands for a test that needs llama.cpp's libraries where they were not installed when the build was configured.
echo "llama.cpp's libraries and headers are not installed (tests/npm/setup)"
[ "${CI:-}" != true ] || exit 1
exit 77
