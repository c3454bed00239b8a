/* Placement of a model that is about to be loaded, and the loading. */
#ifndef SSW_ENGINE_ENGINE_PLAN_H
#define SSW_ENGINE_ENGINE_PLAN_H

#include "engine/engine_parts.h"

/* Opens the engine's weights, cache and forward, and fills in the description's places. */
ssw_status ssw_engine_plan_and_load(ssw_engine *engine, const ssw_engine_options *options, ssw_error *err);

#endif
