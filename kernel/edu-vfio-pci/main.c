// SPDX-License-Identifier: GPL-2.0-only
/* Binding, opening and closing. */
#include <linux/module.h>
#include <linux/pci.h>

#include "edu.h"

unsigned int edu_dma_bits = 28;
module_param_named(dma_bits, edu_dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "Address bits of edu's DMA, of its property dma_mask (28)");

static int edu_open_device(struct vfio_device *vdev)
{
	struct edu_device *edu = edu_of(vdev);
	int ret;

	edu_buffer_open(edu, true);
	ret = vfio_pci_core_enable(&edu->core);
	if (ret) {
		edu_buffer_open(edu, false);
		return ret;
	}
	edu_state_open(edu);
	vfio_pci_core_finish_enable(&edu->core);
	/* All of BAR0 is trapped; region info and mmap() both look here. */
	edu->core.bar_mmap_supported[0] = false;
	return 0;
}

static void edu_close_device(struct vfio_device *vdev)
{
	struct edu_device *edu = edu_of(vdev);

	edu_state_close(edu);
	if (!edu_defect(EDU_DEFECT_KEEP_LOG))
		edu_log_stop(vdev);
	/* Resets the device, where that works; edu needs it done by hand in any case. */
	edu_state_clean(edu);
	edu_buffer_open(edu, false);
	vfio_pci_core_close_device(vdev);
}

static ssize_t edu_read(struct vfio_device *vdev, char __user *buf, size_t count,
			loff_t *ppos)
{
	if (VFIO_PCI_OFFSET_TO_INDEX(*ppos) == VFIO_PCI_BAR0_REGION_INDEX)
		return edu_bar_read(edu_of(vdev), buf, count, ppos);
	return vfio_pci_core_read(vdev, buf, count, ppos);
}

static ssize_t edu_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			 loff_t *ppos)
{
	if (VFIO_PCI_OFFSET_TO_INDEX(*ppos) == VFIO_PCI_BAR0_REGION_INDEX)
		return edu_bar_write(edu_of(vdev), buf, count, ppos);
	return vfio_pci_core_write(vdev, buf, count, ppos);
}

static long edu_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	/* The core would write to the BAR when the eventfd is signalled, past our trap. */
	if (cmd == VFIO_DEVICE_IOEVENTFD)
		return -ENOTTY;
	return vfio_pci_core_ioctl(vdev, cmd, arg);
}

static int edu_init_dev(struct vfio_device *vdev)
{
	struct edu_device *edu = edu_of(vdev);
	int ret = vfio_pci_core_init_dev(vdev);

	if (ret)
		return ret;
	mutex_init(&edu->state_mutex);
	mutex_init(&edu->window_lock);
	mutex_init(&edu->io_lock);
	spin_lock_init(&edu->reset_lock);
	init_waitqueue_head(&edu->data_wait);
	edu->state = VFIO_DEVICE_STATE_RUNNING;
	vdev->migration_flags =
		VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY;
	vdev->mig_ops = &edu_mig_ops;
	vdev->log_ops = &edu_log_ops;
	return 0;
}

static void edu_release_dev(struct vfio_device *vdev)
{
	struct edu_device *edu = edu_of(vdev);

	bitmap_free(edu->log.pages);
	mutex_destroy(&edu->io_lock);
	mutex_destroy(&edu->window_lock);
	mutex_destroy(&edu->state_mutex);
	vfio_pci_core_release_dev(vdev);
}

static const struct vfio_device_ops edu_ops = {
	.name = "edu-vfio-pci",
	.init = edu_init_dev,
	.release = edu_release_dev,
	.open_device = edu_open_device,
	.close_device = edu_close_device,
	.ioctl = edu_ioctl,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = edu_read,
	.write = edu_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = edu_attach_ioas,
	.detach_ioas = edu_detach_ioas,
};

/* What an earlier driver left in the device is no user's business. */
static int edu_first_state(struct edu_device *edu)
{
	struct pci_dev *pdev = edu->core.pdev;
	int ret = pci_enable_device(pdev);

	if (ret)
		return ret;
	ret = edu_hw_begin(edu);
	if (!ret) {
		ret = edu_regs_check(edu);
		if (!ret)
			ret = edu_regs_reset(edu);
		edu_hw_end(edu);
	}
	if (!ret && edu_buffer_first(edu))
		pci_info(pdev, "the buffer was not cleared: none may read it first\n");
	pci_disable_device(pdev);
	return ret;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu_device *edu;
	int ret;

	edu = vfio_alloc_device(edu_device, core.vdev, &pdev->dev, &edu_ops);
	if (IS_ERR(edu))
		return PTR_ERR(edu);
	dev_set_drvdata(&pdev->dev, &edu->core);
	edu->bar = pci_iomap(pdev, 0, EDU_REGS_END);
	if (!edu->bar) {
		ret = -ENOMEM;
		goto out_put;
	}
	ret = edu_first_state(edu);
	if (!ret)
		ret = vfio_pci_core_register_device(&edu->core);
	if (!ret)
		return 0;
	pci_iounmap(pdev, edu->bar);
out_put:
	vfio_put_device(&edu->core.vdev);
	return ret;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);
	struct edu_device *edu = container_of(core, struct edu_device, core);

	/* Waits until the last user has closed it. */
	vfio_pci_core_unregister_device(core);
	pci_iounmap(pdev, edu->bar);
	vfio_put_device(&core->vdev);
}

static void edu_reset_prepare(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	edu_state_reset_prepare(container_of(core, struct edu_device, core));
}

static void edu_reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	edu_state_reset_done(container_of(core, struct edu_device, core));
}

static const struct pci_error_handlers edu_err_handlers = {
	.reset_prepare = edu_reset_prepare,
	.reset_done = edu_reset_done,
	.error_detected = vfio_pci_core_aer_err_detected,
};

static const struct pci_device_id edu_table[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(0x1234, 0x11e8) }, /* QEMU's edu */
	{}
};
MODULE_DEVICE_TABLE(pci, edu_table);

static struct pci_driver edu_driver = {
	.name = "edu-vfio-pci",
	.id_table = edu_table,
	.probe = edu_probe,
	.remove = edu_remove,
	.err_handler = &edu_err_handlers,
	.driver_managed_dma = true,
};

static int __init edu_module_init(void)
{
	if (edu_dma_bits < PAGE_SHIFT + 1 || edu_dma_bits > 32) {
		pr_err("edu-vfio-pci: dma_bits must be 13 to 32\n");
		return -EINVAL;
	}
	if (!edu_buffer_scratch_valid()) {
		pr_err("edu-vfio-pci: scratch_iova must be a page that edu reaches\n");
		return -EINVAL;
	}
	edu_buffer_warn();
	return pci_register_driver(&edu_driver);
}
module_init(edu_module_init);

static void __exit edu_module_exit(void)
{
	pci_unregister_driver(&edu_driver);
}
module_exit(edu_module_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The Ferry authors");
MODULE_DESCRIPTION("Example of a VFIO variant driver: QEMU's edu, with migration");
MODULE_IMPORT_NS(IOMMUFD);
