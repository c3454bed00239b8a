/* Log lines to standard error, whole lines from any thread. */
#ifndef SSW_CLI_LOG_STDERR_H
#define SSW_CLI_LOG_STDERR_H

#include "base/log.h"

ssw_log ssw_cli_log_stderr(ssw_log_level level);

#endif
