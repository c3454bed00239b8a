/* The processors this process may use: affinity mask, physical cores, cgroup limit. Linux; read anew on every
 * call. */
#ifndef SSW_BASE_CORES_H
#define SSW_BASE_CORES_H

#ifdef __cplusplus
extern "C" {
#endif

enum { SSW_CORES_MAX = 1024 }; /* logical processors considered */

/* Writes the number of one logical processor per physical core of the affinity mask, in increasing order, at
 * most max of them. Returns how many; at least 1. */
int ssw_cores_list(int *cpus, int max);

/* Whole processors' worth of time that the cgroup allows, rounded up; 0 when there is no limit. */
int ssw_cores_read_cgroup_limit(void);

#ifdef __cplusplus
}
#endif
#endif
