/* The rows themselves; provider.h explains them. */
#ifndef RELAY_COMMON_PROVIDER_ROWS_H
#define RELAY_COMMON_PROVIDER_ROWS_H

#include "common/provider.h"

extern const struct provider *const provider_rows[];
extern const size_t provider_row_count;
extern const struct provider_auth provider_auth_rows[];
extern const size_t provider_auth_row_count;
extern const struct provider_shape provider_shape_rows[];
extern const size_t provider_shape_row_count;

#endif
