// A destructor of the library crashes, when it is unloaded.
#include "engine.c"

__attribute__((destructor)) static void end(void) { __builtin_trap(); }
