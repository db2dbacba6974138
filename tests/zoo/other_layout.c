// Carries a type layout that another abi_stable made.
#include "engine.c"

KV_EXPORT const struct { char made_by[32]; const void *(*layout)(void); } kv_rust_layout = { "abi_stable 0.99.0", NULL };
