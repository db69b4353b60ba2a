/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bridge/preload/symbols/real.h"
#include "bridge/preload/symbols/symbols.h"
#include "bridge/preload/table.h"

/* What fortified programs call instead; no header has them. */
ssize_t __read_chk(int fd, void *data, size_t count, size_t room);
ssize_t __pread_chk(int fd, void *data, size_t count, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t count, off64_t off, size_t room);
void __chk_fail(void) __attribute__((noreturn));

static ssize_t clamp(size_t count)
{
    return count > SSIZE_MAX ? SSIZE_MAX : (ssize_t)count;
}

static ssize_t do_read(struct bridge_object *object, void *data, size_t count)
{
    return object->ops->read ? object->ops->read(object, data, (size_t)clamp(count))
                             : -EINVAL;
}

static ssize_t do_write(struct bridge_object *object, const void *data, size_t count)
{
    return object->ops->write ? object->ops->write(object, data, (size_t)clamp(count))
                              : -EINVAL;
}

static ssize_t do_pread(struct bridge_object *object, void *data, size_t count, off_t off)
{
    if (object->ops->pread == NULL || off < 0) {
        return -EINVAL;
    }
    return object->ops->pread(object, data, (size_t)clamp(count), (uint64_t)off);
}

static ssize_t do_pwrite(struct bridge_object *object, const void *data, size_t count,
                         off_t off)
{
    if (object->ops->pwrite == NULL || off < 0) {
        return -EINVAL;
    }
    return object->ops->pwrite(object, data, (size_t)clamp(count), (uint64_t)off);
}

BRIDGE_SYMBOL ssize_t read(int fd, void *data, size_t count)
{
    struct bridge_object *object = bridge_table_get(fd);
    const int err = errno;

    if (object == NULL) {
        return bridge_real()->read(fd, data, count);
    }
    return bridge_symbol_end(object, do_read(object, data, count), err);
}

BRIDGE_SYMBOL ssize_t write(int fd, const void *data, size_t count)
{
    struct bridge_object *object = bridge_table_get(fd);
    const int err = errno;

    if (object == NULL) {
        return bridge_real()->write(fd, data, count);
    }
    return bridge_symbol_end(object, do_write(object, data, count), err);
}

BRIDGE_SYMBOL ssize_t pread(int fd, void *data, size_t count, off_t off)
{
    struct bridge_object *object = bridge_table_get(fd);
    const int err = errno;

    if (object == NULL) {
        return bridge_real()->pread(fd, data, count, off);
    }
    return bridge_symbol_end(object, do_pread(object, data, count, off), err);
}

BRIDGE_SYMBOL ssize_t pwrite(int fd, const void *data, size_t count, off_t off)
{
    struct bridge_object *object = bridge_table_get(fd);
    const int err = errno;

    if (object == NULL) {
        return bridge_real()->pwrite(fd, data, count, off);
    }
    return bridge_symbol_end(object, do_pwrite(object, data, count, off), err);
}

BRIDGE_SYMBOL ssize_t pread64(int fd, void *data, size_t count, off64_t off)
{
    return pread(fd, data, count, off);
}

BRIDGE_SYMBOL ssize_t pwrite64(int fd, const void *data, size_t count, off64_t off)
{
    return pwrite(fd, data, count, off);
}

BRIDGE_SYMBOL ssize_t __read_chk(int fd, void *data, size_t count, size_t room)
{
    if (count > room) {
        __chk_fail();
    }
    return read(fd, data, count);
}

BRIDGE_SYMBOL ssize_t __pread_chk(int fd, void *data, size_t count, off_t off,
                                  size_t room)
{
    if (count > room) {
        __chk_fail();
    }
    return pread(fd, data, count, off);
}

BRIDGE_SYMBOL ssize_t __pread64_chk(int fd, void *data, size_t count, off64_t off,
                                    size_t room)
{
    return __pread_chk(fd, data, count, off, room);
}

/* How one piece of a vector is moved; off is -1 without a position. */
typedef ssize_t mover(struct bridge_object *object, const struct iovec *piece, off_t off);

static ssize_t move_in(struct bridge_object *object, const struct iovec *piece, off_t off)
{
    (void)off;
    return do_read(object, piece->iov_base, piece->iov_len);
}

static ssize_t move_out(struct bridge_object *object, const struct iovec *piece,
                        off_t off)
{
    (void)off;
    return do_write(object, piece->iov_base, piece->iov_len);
}

static ssize_t move_in_at(struct bridge_object *object, const struct iovec *piece,
                          off_t off)
{
    return do_pread(object, piece->iov_base, piece->iov_len, off);
}

static ssize_t move_out_at(struct bridge_object *object, const struct iovec *piece,
                           off_t off)
{
    return do_pwrite(object, piece->iov_base, piece->iov_len, off);
}

/* Piece by piece, up to the first that is not moved whole. */
static ssize_t move_all(struct bridge_object *object, const struct iovec *piece,
                        int count, off_t off, mover *move)
{
    const int err = errno;
    ssize_t total = 0;
    ssize_t rc = count < 0 || count > IOV_MAX ? -EINVAL : 0;
    int i;

    for (i = 0; i < count && rc >= 0; i++) {
        if (piece[i].iov_len == 0) {
            continue;
        }
        if (piece[i].iov_len > (size_t)(SSIZE_MAX - total)) {
            rc = -EINVAL;
            break;
        }
        rc = move(object, &piece[i], off + total);
        total += rc > 0 ? rc : 0;
        if (rc >= 0 && (size_t)rc < piece[i].iov_len) {
            break;
        }
    }
    return bridge_symbol_end(object, total > 0 || rc >= 0 ? total : rc, err);
}

BRIDGE_SYMBOL ssize_t readv(int fd, const struct iovec *piece, int count)
{
    struct bridge_object *object = bridge_table_get(fd);

    return object ? move_all(object, piece, count, 0, move_in)
                  : bridge_real()->readv(fd, piece, count);
}

BRIDGE_SYMBOL ssize_t writev(int fd, const struct iovec *piece, int count)
{
    struct bridge_object *object = bridge_table_get(fd);

    return object ? move_all(object, piece, count, 0, move_out)
                  : bridge_real()->writev(fd, piece, count);
}

BRIDGE_SYMBOL ssize_t preadv(int fd, const struct iovec *piece, int count, off_t off)
{
    struct bridge_object *object = bridge_table_get(fd);

    return object ? move_all(object, piece, count, off, move_in_at)
                  : bridge_real()->preadv(fd, piece, count, off);
}

BRIDGE_SYMBOL ssize_t pwritev(int fd, const struct iovec *piece, int count, off_t off)
{
    struct bridge_object *object = bridge_table_get(fd);

    return object ? move_all(object, piece, count, off, move_out_at)
                  : bridge_real()->pwritev(fd, piece, count, off);
}

BRIDGE_SYMBOL ssize_t preadv64(int fd, const struct iovec *piece, int count, off64_t off)
{
    return preadv(fd, piece, count, off);
}

BRIDGE_SYMBOL ssize_t pwritev64(int fd, const struct iovec *piece, int count, off64_t off)
{
    return pwritev(fd, piece, count, off);
}
