/* Sessions: claims on one sequence of the KV cache, and how much of it is filled. */
#include "engine/engine_parts.h"

ssw_status ssw_session_open(ssw_engine *engine, ssw_session **out, ssw_error *err)
{
    for (int32_t i = 0; i < engine->info.n_parallel; i++) {
        ssw_session *session = &engine->sessions[i];
        if (!session->is_open) {
            *session = (ssw_session){.engine = engine, .sequence = i, .is_open = true};
            *out = session;
            return SSW_OK;
        }
    }
    *out = NULL;
    return ssw_error_set(err, SSW_ERR_LIMIT, "all %d sequences of the engine are in use",
                         engine->info.n_parallel);
}

void ssw_session_close(ssw_session *session)
{
    if (session)
        session->is_open = false;
}

int32_t ssw_session_length(const ssw_session *session)
{
    return session->length;
}

ssw_status ssw_session_truncate(ssw_session *session, int32_t n, ssw_error *err)
{
    if (n < 0 || n > session->length)
        return ssw_error_set(err, SSW_ERR_USAGE, "cannot truncate a session of %d tokens to %d",
                             session->length, n);
    if (n == session->length)
        return SSW_OK;
    bool can = ssw_kvcache_can_resume(&session->engine->cache, session->highest, n);
    session->length = can ? n : 0;
    if (session->length == 0)
        session->highest = 0;
    if (!can)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "the sliding window's keys before token %d are gone; the session starts anew",
                             n);
    return SSW_OK;
}
