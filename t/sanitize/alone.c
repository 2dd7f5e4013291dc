/*
 * Preloaded beside a sanitizer's runtime: what httpd starts is no part of the test, and a shell
 * does not even run under TSan's.
 */
#include <stdlib.h>

__attribute__((constructor)) static void leave_others_alone(void)
{
    unsetenv("LD_PRELOAD");
}
