// Was built with a later kvstore.h.
#include "kvstore.h"
#undef KV_ABI_MAJOR
#define KV_ABI_MAJOR 7
#include "engine.c"
