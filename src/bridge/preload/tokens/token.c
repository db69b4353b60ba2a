/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/tokens/token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define LAYER "bridge"
#define SIZE(field) sizeof(((struct bridge_token *)0)->field)

static const char *const kinds[] = {
    [BRIDGE_TOKEN_DEVICE] = "device", [BRIDGE_TOKEN_IOMMU] = "iommu"
};
static const char *const dirties[] = { [FERRY_BRIDGE_DIRTY_ANY] = "any",
                                       [FERRY_BRIDGE_DIRTY_DEVICE] = "device",
                                       [FERRY_BRIDGE_DIRTY_IOMMU] = "iommu" };
static const char *const uapis[] = {
    [BRIDGE_UAPI_ANY] = "any", [BRIDGE_UAPI_V1] = "v1", [BRIDGE_UAPI_V2] = "v2"
};
static const char *const switches[] = { "0", "1" };

enum form { TEXT, NUMBER, WORD };

/* What can be in a token. Words stand for their index. */
static const struct key {
    const char *name;
    size_t off; /* in struct bridge_token */
    enum form form;
    size_t size; /* TEXT: of the array; WORD: of the words */
    const char *const *word;
} keys[] = {
    { "kind", offsetof(struct bridge_token, kind), WORD, 3, kinds },
    { "name", offsetof(struct bridge_token, name), TEXT, SIZE(name), NULL },
    { "path", offsetof(struct bridge_token, path), TEXT, SIZE(path), NULL },
    { "log", offsetof(struct bridge_token, log), TEXT, SIZE(log), NULL },
    { "timeout_ms", offsetof(struct bridge_token, timeout_ms), NUMBER, 0, NULL },
    { "no_peer_maps", offsetof(struct bridge_token, no_peer_maps), WORD, 2, switches },
    { "dirty", offsetof(struct bridge_token, dirty), WORD, 3, dirties },
    { "trace", offsetof(struct bridge_token, trace), WORD, 2, switches },
    { "uapi", offsetof(struct bridge_token, uapi), WORD, 3, uapis },
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static int is(const char *text, size_t bytes, const char *word)
{
    return word && strlen(word) == bytes && memcmp(text, word, bytes) == 0;
}

/* Return: 0 when it is no decimal number that fits. */
static int number(const char *text, size_t bytes, uint32_t *ret_value)
{
    uint64_t value = 0;
    size_t i;

    for (i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > INT_MAX) {
            return 0;
        }
    }
    *ret_value = (uint32_t)value;
    return bytes > 0;
}

/* Stores one value in its form. Return: FERRY_OK, FERRY_E_LIMIT, FERRY_E_PROTOCOL. */
static int store(const struct key *key, const char *value, size_t bytes,
                 struct bridge_token *token)
{
    char *field = (char *)token + key->off;
    uint32_t word;

    if (key->form == TEXT) {
        if (bytes >= key->size) {
            return FERRY_E_LIMIT;
        }
        memcpy(field, value, bytes);
        return FERRY_OK;
    }
    if (key->form == NUMBER) {
        if (!number(value, bytes, &word)) {
            return FERRY_E_PROTOCOL;
        }
        memcpy(field, &word, sizeof(word));
        return FERRY_OK;
    }
    for (word = 0; word < key->size; word++) {
        if (is(value, bytes, key->word[word])) {
            memcpy(field, &word, sizeof(word));
            return FERRY_OK;
        }
    }
    return FERRY_E_PROTOCOL;
}

/* One line without its end. seen: a bit for each key. */
static int take_line(const char *line, size_t bytes, uint32_t *seen,
                     struct bridge_token *token, struct ferry_error *reterr)
{
    const char *sign = memchr(line, '=', bytes);
    const size_t name_bytes = sign ? (size_t)(sign - line) : bytes;
    const int shown = name_bytes > 32 ? 32 : (int)name_bytes;
    size_t i = 0;
    int status;

    while (i < KEYS && !is(line, name_bytes, keys[i].name)) {
        i++;
    }
    if (sign == NULL || i == KEYS) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, LAYER, NULL, 0,
                               "the token asks for '%.*s', which this version of the "
                               "bridge does not know; use the ferry that it belongs to",
                               shown, line);
    }
    if (*seen & 1u << i) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, LAYER, NULL, 0,
                               "the token says %s twice", keys[i].name);
    }
    *seen |= 1u << i;
    status = store(&keys[i], sign + 1, bytes - name_bytes - 1, token);
    if (status == FERRY_E_LIMIT) {
        return ferry_error_set(reterr, status, LAYER, NULL, 0,
                               "the token's %s is longer than %zu bytes", keys[i].name,
                               keys[i].size - 1);
    }
    if (status < 0) {
        return ferry_error_set(reterr, status, LAYER, NULL, 0,
                               "the token's %s has no value that can be used",
                               keys[i].name);
    }
    return FERRY_OK;
}

/* The rules between the values, and what was left out. */
static int complete(struct bridge_token *token, struct ferry_error *reterr)
{
    const char *last;

    if (token->kind == 0) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, LAYER, NULL, 0,
                               "the token does not say what it stands for");
    }
    if (token->kind == BRIDGE_TOKEN_DEVICE && token->path[0] != '/') {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, LAYER, NULL, 0,
                               "the token names no device server (an absolute path)");
    }
    if (token->timeout_ms == 0) {
        token->timeout_ms = BRIDGE_TIMEOUT_MS;
    }
    if (token->name[0] == '\0') {
        last = token->kind == BRIDGE_TOKEN_DEVICE ? strrchr(token->path, '/') + 1
                                                  : kinds[token->kind];
        memcpy(token->name, last, strnlen(last, sizeof(token->name) - 1));
    }
    return 1;
}

int bridge_token_parse(const char *text, size_t bytes, struct bridge_token *ret_token,
                       struct ferry_error *reterr)
{
    static const char magic[] = BRIDGE_TOKEN_MAGIC;
    struct bridge_token token = { 0 };
    const char *end = text + bytes;
    const char *line = text;
    uint32_t seen = 0;
    const char *stop;
    int status;

    if (bytes < sizeof(magic) - 1 || memcmp(text, magic, sizeof(magic) - 1) != 0) {
        return 0;
    }
    if (memchr(text, '\0', bytes) || text[bytes - 1] != '\n') {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, LAYER, NULL, 0,
                               "the token is damaged: it does not consist of lines");
    }
    line += sizeof(magic) - 1;
    stop = memchr(line, '\n', (size_t)(end - line));
    if (!is(line, (size_t)(stop - line), BRIDGE_TOKEN_VERSION)) {
        return ferry_error_set(reterr, FERRY_E_VERSION, LAYER, NULL, 0,
                               "the token is of version %.*s, this bridge reads %s: use "
                               "the bridge of the ferry that made it",
                               stop - line > 8 ? 8 : (int)(stop - line), line,
                               BRIDGE_TOKEN_VERSION);
    }
    for (line = stop + 1; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        status = take_line(line, (size_t)(stop - line), &seen, &token, reterr);
        if (status < 0) {
            return status;
        }
    }
    status = complete(&token, reterr);
    if (status > 0) {
        *ret_token = token;
    }
    return status;
}

int bridge_token_likely(int fd)
{
    int err = errno;
    int seals = fcntl(fd, F_GET_SEALS);

    errno = err;
    return seals >= 0;
}

int bridge_token_read(int fd, struct bridge_token *ret_token, struct ferry_error *reterr)
{
    struct bridge_token token;
    char text[BRIDGE_TOKEN_BYTES_MAX + 1];
    int err = errno;
    int seals = fcntl(fd, F_GET_SEALS);
    ssize_t got = seals < 0 ? -1 : pread(fd, text, sizeof(text), 0);
    int status;

    errno = err;
    if (got < 0) {
        return 0;
    }
    status = bridge_token_parse(text, (size_t)got, &token, reterr);
    if (status == 0) {
        return 0;
    }
    if ((seals & SEALS) != SEALS) {
        return ferry_error_set(reterr, FERRY_E_PERMISSION, LAYER, NULL, 0,
                               "the token is not sealed: anybody could change it");
    }
    if ((size_t)got > BRIDGE_TOKEN_BYTES_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, LAYER, NULL, 0,
                               "the token is longer than %u bytes",
                               BRIDGE_TOKEN_BYTES_MAX);
    }
    if (status > 0) {
        *ret_token = token;
    }
    return status;
}
