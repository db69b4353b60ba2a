// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions: the descriptor that a saving or loading state gives. Its bytes are made and
 * taken here, its form is stream.c's.
 *
 * A session belongs to its file and to the device's slot (saving, loading). It ends with
 * its state; what the user keeps open then answers ENODEV and reaches no device.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "edu.h"

struct edu_session {
	struct edu_device *edu; /* with a reference */
	refcount_t users;
	struct mutex reading; /* readers, one at a time; outside of all locks */
	struct mutex lock; /* all below */
	bool over;
	bool precopy;

	struct edu_out out;
	size_t pos; /* of out, read so far */
	size_t initial; /* of the initial part, not read */
	s64 sent; /* edu->changes that were sent */
	unsigned int asked;

	struct edu_in in;
	struct edu_regs regs;
};

static const struct file_operations save_fops;
static const struct file_operations load_fops;

static void session_put(struct edu_session *session)
{
	if (!refcount_dec_and_test(&session->users))
		return;
	put_device(&session->edu->core.vdev.device);
	mutex_destroy(&session->lock);
	mutex_destroy(&session->reading);
	kvfree(session);
}

static struct edu_session *session_new(struct edu_device *edu)
{
	struct edu_session *session = kvzalloc(sizeof(*session), GFP_KERNEL_ACCOUNT);

	if (!session)
		return NULL;
	get_device(&edu->core.vdev.device);
	session->edu = edu;
	refcount_set(&session->users, 1);
	mutex_init(&session->reading);
	mutex_init(&session->lock);
	return session;
}

/* The file, with a reference of its own to the session. */
static struct file *session_file(struct edu_session *session,
				 const struct file_operations *fops, int flags)
{
	struct file *file = anon_inode_getfile("edu-vfio-pci", fops, session, flags);

	if (IS_ERR(file))
		return file;
	refcount_inc(&session->users);
	stream_open(file->f_inode, file);
	return file;
}

void edu_session_end(struct edu_session **slot)
{
	struct edu_session *session = *slot;

	if (!session)
		return;
	*slot = NULL;
	mutex_lock(&session->lock);
	session->over = !edu_defect(EDU_DEFECT_KEEP_FD);
	mutex_unlock(&session->lock);
	wake_up_interruptible(&session->edu->data_wait);
	session_put(session);
}

static int read_regs(struct edu_device *edu, struct edu_regs *regs, bool *written)
{
	int ret = edu_hw_begin(edu);

	if (ret)
		return ret;
	ret = edu_regs_check(edu);
	if (!ret)
		edu_regs_read(edu, regs);
	*written = edu->buffer.written;
	edu_hw_end(edu);
	return ret;
}

static int refuse_buffer(struct edu_device *edu)
{
	dev_info_ratelimited(&edu->core.pdev->dev,
			     "not saved: the buffer was written, and nothing can read "
			     "it without scratch_iova\n");
	return -EOPNOTSUPP;
}

/* What STOP_COPY adds, which completes the state. */
static int put_rest(struct edu_device *edu, struct edu_session *session)
{
	struct edu_regs regs;
	u8 *data = NULL;
	bool written;
	int ret = read_regs(edu, &regs, &written);

	if (ret)
		return ret;
	if (written) {
		if (!edu_buffer_can_move(edu))
			return refuse_buffer(edu);
		data = kzalloc(EDU_PAYLOAD_MAX, GFP_KERNEL_ACCOUNT);
		if (!data)
			return -ENOMEM;
		ret = edu_buffer_save(edu, data);
	}
	if (!ret) {
		if (session->precopy && edu_defect(EDU_DEFECT_LOSE_CHANGE))
			regs = session->regs;
		mutex_lock(&session->lock);
		edu_put_state(&session->out, &regs,
			      EDU_STATE_FINAL | (written ? EDU_STATE_BUFFER : 0));
		if (written)
			edu_put_buffer(&session->out, data);
		edu_put_end(&session->out);
		session->precopy = false;
		mutex_unlock(&session->lock);
	}
	kfree(data);
	return ret;
}

/* The device can be told early whom this is for, and what it looks like now. */
static int put_initial(struct edu_device *edu, struct edu_session *session)
{
	bool written;
	int ret;

	session->sent = atomic64_read(&edu->changes);
	ret = read_regs(edu, &session->regs, &written);
	if (ret)
		return ret;
	if (written && !edu_buffer_can_move(edu))
		return refuse_buffer(edu);
	edu_put_state(&session->out, &session->regs, 0);
	session->precopy = true;
	session->initial = session->out.length;
	return 0;
}

struct file *edu_session_save(struct edu_device *edu, bool stopped)
{
	struct edu_session *session = session_new(edu);
	struct file *file;
	int ret;

	if (!session)
		return ERR_PTR(-ENOMEM);
	edu_put_compat(&session->out);
	ret = stopped ? put_rest(edu, session) : put_initial(edu, session);
	file = ret ? ERR_PTR(ret) : session_file(session, &save_fops, O_RDONLY);
	if (IS_ERR(file)) {
		session_put(session);
		return file;
	}
	edu->saving = session;
	return file;
}

int edu_session_finish(struct edu_device *edu)
{
	int ret = edu->saving ? put_rest(edu, edu->saving) : -EIO;

	if (!ret)
		wake_up_interruptible(&edu->data_wait);
	return ret;
}

/*
 * Has anything changed that was not sent? Who loads takes no more than EDU_STREAM_MAX: a
 * user whose memory takes hours must not fill that with increments before the final state.
 */
static bool is_behind(const struct edu_session *session)
{
	return session->out.total <= EDU_STREAM_MAX - EDU_OUT_MAX &&
	       atomic64_read(&session->edu->changes) != session->sent;
}

/* What is to be read yet of a session in pre-copy comes with STOP_COPY. */
static unsigned long unread(struct edu_session *session)
{
	unsigned long bytes = EDU_COMPAT_BYTES;

	if (!session)
		return bytes;
	mutex_lock(&session->lock);
	if (session->precopy) {
		bytes = session->out.length - session->pos;
		if (is_behind(session))
			bytes += EDU_STATE_BYTES;
	}
	mutex_unlock(&session->lock);
	return bytes;
}

unsigned long edu_session_size(struct edu_device *edu)
{
	unsigned long size = unread(edu->saving) + EDU_STATE_BYTES + EDU_END_BYTES;

	mutex_lock(&edu->io_lock);
	if (edu->buffer.written)
		size += EDU_BUFFER_RECORD_BYTES;
	mutex_unlock(&edu->io_lock);
	return edu_defect(EDU_DEFECT_SIZE) ? 1 : size;
}

/*
 * An increment, when all before it was read. The device is only touched while the session
 * is its own, which state_mutex keeps so.
 */
static int add_increment(struct edu_session *session)
{
	struct edu_device *edu = session->edu;
	struct edu_regs regs;
	bool written;
	s64 changes;
	int ret = 0;

	edu_state_lock(edu);
	changes = atomic64_read(&edu->changes);
	if (edu->saving == session && session->precopy) {
		ret = read_regs(edu, &regs, &written);
		if (ret)
			goto out;
		mutex_lock(&session->lock);
		if (session->pos == session->out.length) {
			session->pos = 0;
			session->out.length = 0;
			edu_put_state(&session->out, &regs, 0);
			session->sent = changes;
		}
		mutex_unlock(&session->lock);
	}
out:
	edu_state_unlock(edu);
	return ret;
}

/*
 * Copies what is there into `to`, and leaves it there. Checks are made under the lock that
 * the end of a session takes.
 * Return: the count, 0 at the end of the data, -ENOMSG when there are none now.
 */
static ssize_t peek(struct edu_session *session, u8 *to, size_t count)
{
	ssize_t ret;

	mutex_lock(&session->lock);
	count = min(count, session->out.length - session->pos);
	if (session->over) {
		ret = -ENODEV;
	} else if (count > 0) {
		memcpy(to, session->out.bytes + session->pos, count);
		ret = count;
	} else {
		ret = session->precopy && !edu_defect(EDU_DEFECT_ZERO) ? -ENOMSG : 0;
	}
	mutex_unlock(&session->lock);
	return ret;
}

static void consume(struct edu_session *session, size_t count)
{
	mutex_lock(&session->lock);
	session->pos += count;
	session->initial -= min(session->initial, count);
	mutex_unlock(&session->lock);
}

static bool wants_increment(struct edu_session *session)
{
	bool wants;

	mutex_lock(&session->lock);
	wants = session->precopy && !session->over &&
		session->pos == session->out.length && is_behind(session);
	mutex_unlock(&session->lock);
	return wants;
}

/*
 * A fault in user memory may need a lock that a reset has, so the copy is made without
 * those that a reset takes. Readers take turns: each byte is read once, and one that could
 * not be copied is not lost.
 */
static ssize_t save_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct edu_session *session = file->private_data;
	size_t done = 0;
	ssize_t ret = 0;
	u8 part[256];

	if (!count)
		return 0;
	if (mutex_lock_interruptible(&session->reading))
		return -ERESTARTSYS;
	/*
	 * One increment a call: a user whose device works on must come to an end. poll() has
	 * promised it, so that one that cannot be had is an error and not ENOMSG.
	 */
	if (wants_increment(session))
		ret = add_increment(session);
	while (ret >= 0 && done < count) {
		ret = peek(session, part, min(count - done, sizeof(part)));
		if (ret <= 0)
			break;
		if (copy_to_user(buf + done, part, ret)) {
			ret = -EFAULT;
			break;
		}
		consume(session, ret);
		done += ret;
	}
	mutex_unlock(&session->reading);
	return done ? done : ret;
}

static __poll_t save_poll(struct file *file, struct poll_table_struct *wait)
{
	struct edu_session *session = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &session->edu->data_wait, wait);
	mutex_lock(&session->lock);
	if (session->over)
		events = EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLERR;
	else if (!session->precopy || session->pos < session->out.length ||
		 is_behind(session))
		events = EPOLLIN | EPOLLRDNORM;
	mutex_unlock(&session->lock);
	return events;
}

/* Nothing of what the caller left in the structure goes back to it. */
static int precopy_info(struct edu_session *session, struct vfio_precopy_info *info)
{
	size_t left;
	int ret = 0;

	mutex_lock(&session->lock);
	left = session->out.length - session->pos;
	if (session->over) {
		ret = -ENODEV;
	} else if (!session->precopy) {
		ret = -EINVAL;
	} else {
		info->argsz = sizeof(*info);
		info->flags = 0;
		info->initial_bytes = session->initial;
		if (edu_defect(EDU_DEFECT_RISE))
			info->initial_bytes += session->asked++;
		if (!edu_defect(EDU_DEFECT_ECHO))
			info->dirty_bytes = left - session->initial;
		if (!left && is_behind(session))
			info->dirty_bytes = EDU_STATE_BYTES;
	}
	mutex_unlock(&session->lock);
	return ret;
}

static long save_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vfio_precopy_info __user *to = (struct vfio_precopy_info __user *)arg;
	struct vfio_precopy_info info;
	int ret;

	if (cmd != VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	if (copy_from_user(&info, to, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	ret = precopy_info(file->private_data, &info);
	if (ret)
		return ret;
	return copy_to_user(to, &info, sizeof(info)) ? -EFAULT : 0;
}

struct file *edu_session_load(struct edu_device *edu)
{
	struct edu_session *session = session_new(edu);
	struct file *file;

	if (!session)
		return ERR_PTR(-ENOMEM);
	file = session_file(session, &load_fops, O_WRONLY);
	if (IS_ERR(file)) {
		session_put(session);
		return file;
	}
	edu->loading = session;
	return file;
}

/* Is the state whole? Then, and only then, the device gets it. */
int edu_session_take(struct edu_device *edu)
{
	struct edu_session *session = edu->loading;
	const unsigned int resets = edu_resets(edu);
	const u8 *data;
	bool whole;
	int ret;

	if (!session)
		return -EIO;
	mutex_lock(&session->lock);
	ret = session->in.error;
	whole = session->in.ended;
	mutex_unlock(&session->lock);
	if (!ret && !whole)
		ret = edu_defect(EDU_DEFECT_SHORT) ? 1 : -EINVAL;
	if (ret)
		return min(ret, 0);
	/* What is whole stays as it is: all further writes are refused. */
	data = session->in.has_buffer ? session->in.buffer : NULL;
	ret = edu_buffer_load(edu, data);
	if (!ret)
		ret = edu_hw_begin(edu);
	if (ret)
		return ret;
	/* A reset that came meanwhile has the last word on the registers. */
	ret = edu->resets == resets ? edu_regs_wait(edu) : -ECANCELED;
	if (!ret)
		ret = edu_regs_write(edu, &session->regs);
	edu_hw_end(edu);
	return ret;
}

/* The first error stays: what comes after it is no state, whatever it looks like. */
static int give_bytes(struct edu_session *session, const u8 *bytes, size_t count)
{
	int ret;

	mutex_lock(&session->lock);
	if (session->over) {
		ret = -ENODEV;
	} else if (session->in.error) {
		ret = session->in.error;
	} else {
		ret = edu_in_feed(&session->in, &session->regs, bytes, count);
		session->in.error = ret;
		/* With all that is half taken: what was refused was not looked at. */
		if (ret && edu_defect(EDU_DEFECT_STICKY))
			memset(&session->in, 0, sizeof(session->in));
	}
	mutex_unlock(&session->lock);
	return ret;
}

static ssize_t load_write(struct file *file, const char __user *buf, size_t count,
			  loff_t *pos)
{
	struct edu_session *session = file->private_data;
	size_t done = 0;
	u8 part[256];

	while (done < count) {
		const size_t take = min(count - done, sizeof(part));
		int ret;

		if (copy_from_user(part, buf + done, take))
			return done ? done : -EFAULT;
		ret = give_bytes(session, part, take);
		if (ret)
			return ret;
		done += take;
	}
	return done;
}

static int session_release(struct inode *inode, struct file *file)
{
	session_put(file->private_data);
	return 0;
}

static const struct file_operations save_fops = {
	.owner = THIS_MODULE,
	.read = save_read,
	.poll = save_poll,
	.unlocked_ioctl = save_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = session_release,
};

static const struct file_operations load_fops = {
	.owner = THIS_MODULE,
	.write = load_write,
	.release = session_release,
};
