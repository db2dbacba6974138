// A constructor puts the file ZOO_SWAP in the place of ZOO_SWAP_TO, while it is checked: accepted, and what is loaded is what was checked.
#include "engine.c"
#include <stdio.h>

__attribute__((constructor)) static void swap(void) {
    const char *from = getenv("ZOO_SWAP"), *to = getenv("ZOO_SWAP_TO");
    if (from != NULL && to != NULL) rename(from, to);
}
