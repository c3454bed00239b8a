/* Is a TCP port of 127.0.0.1 free, and if not, who has it? */
#ifndef SSW_BENCH_RUN_PORT_CHECK_H
#define SSW_BENCH_RUN_PORT_CHECK_H

#include "base/status.h"

/* SSW_ERR_USAGE: "port 11436 is taken by llama-server (pid 4711)", without the name where it may not be read.
 */
ssw_status ssw_port_check(int port, ssw_error *err);

#endif
