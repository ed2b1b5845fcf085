# Read inside llama.cpp's own project() call: wtname needs libllama and ggml alone, and llama-cpp-python
# forces the `common` library on in the cache. A normal variable goes before the cache (CMP0077).
set(LLAMA_BUILD_COMMON OFF)
set(LLAMA_BUILD_TOOLS OFF)
set(LLAMA_BUILD_EXAMPLES OFF)
set(LLAMA_BUILD_TESTS OFF)
