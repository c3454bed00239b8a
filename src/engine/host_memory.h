/* How much memory this process may still take. Linux. */
#ifndef SSW_ENGINE_HOST_MEMORY_H
#define SSW_ENGINE_HOST_MEMORY_H

#include <stdint.h>

/* The least of what the system has left without swapping and what each memory cgroup (v2) above this process
 * has left; memory that holds file pages counts as left. 0: nothing is known. */
uint64_t ssw_host_memory_available_bytes(void);

/* Makes the pages real now, so that nothing faults later. Whether it worked shows in the process's own
 * figures. */
void ssw_host_memory_touch(void *memory, uint64_t n_bytes);

#endif
