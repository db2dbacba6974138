// A symbol of it is unique in the process, as those of C++ templates are: accepted with a warning, and it is never unmapped.
#include "engine.c"

__asm__(".globl zoo_only\n.type zoo_only, @gnu_unique_object\n.data\n.p2align 2\nzoo_only: .long 1\n.size zoo_only, 4\n.text");
extern int zoo_only;
KV_EXPORT int *const zoo_address_of_only = &zoo_only;
