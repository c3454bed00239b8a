#!/bin/sh
# Stands for a test that needs llama.cpp's libraries in a build with ThreadSanitizer.
echo "llama.cpp's libraries were not built for ThreadSanitizer"
exit 77
