// A constructor writes through NULL.
#include "engine.c"

static volatile int *volatile nowhere;

__attribute__((constructor)) static void crash(void) { *nowhere = 1; }
