/* Is a TCP port of 127.0.0.1 free, and if not, who has it? */
#ifndef SSW_BENCH_RUN_PORT_CHECK_H
#define SSW_BENCH_RUN_PORT_CHECK_H

#include <sys/types.h>

#include "base/status.h"

/* SSW_ERR_USAGE: "port 11436 is taken by llama-server (pid 4711)", without the name where it may not be read.
 */
ssw_status ssw_port_check(int port, ssw_error *err);

/* The process that listens on the port of this machine, whatever its address; 0 when none is seen. */
pid_t ssw_port_find_owner(int port);

#endif
