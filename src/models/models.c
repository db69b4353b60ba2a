/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/models.h"

#include <string.h>

#include "models/acc/acc.h"
#include "models/copy/copy.h"
#include "models/nic/nic.h"

static const struct ferry_model *const models[] = { &acc_model, &copy_model, &nic_model };

const struct ferry_model *ferry_model_get(size_t i)
{
    return i < sizeof(models) / sizeof(models[0]) ? models[i] : NULL;
}

const struct ferry_model *ferry_model_find(const char *name)
{
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(models[i]->name, name) == 0) {
            return models[i];
        }
    }
    return NULL;
}
