/* Whether AMX may be used: the processor's word, and the system's. */
#include "cpu/kernels_amx.h"

#if SSW_CPU_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux, Documentation/arch/x86/xstate.rst: tiles are 8 KiB more of every thread's state, so a process asks.
 */
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

/* https://www.intel.com/sdm, CPUID leaf 7 */
enum {
    EDX_AMX_BF16 = 1 << 22,
    EDX_AVX512_FP16 = 1 << 23,
    EDX_AMX_TILE = 1 << 24,
    EDX_ALL = EDX_AMX_BF16 | EDX_AVX512_FP16 | EDX_AMX_TILE,
    SUBLEAF_1_EAX_AVX512_BF16 = 1 << 5
};

static bool has_instructions(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & EDX_ALL) != EDX_ALL)
        return false;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & SUBLEAF_1_EAX_AVX512_BF16);
}

const ssw_amx *ssw_amx_find(void)
{
    if (!has_instructions() || syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0)
        return NULL;
    return ssw_amx_kernels();
}
#else
const ssw_amx *ssw_amx_find(void)
{
    return NULL;
}
#endif
