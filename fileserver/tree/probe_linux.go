package tree

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var errReadOnlyDisk error = unix.EROFS

var filesystemNames = map[uint32]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
	unix.NFS_SUPER_MAGIC: "nfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.FUSE_SUPER_MAGIC: "fuse",
	unix.F2FS_SUPER_MAGIC: "f2fs", unix.MSDOS_SUPER_MAGIC: "fat", unix.SMB2_SUPER_MAGIC: "smb",
}

// probeSystem reports what does not need a file: the filesystem, the kernel's stamps and its limits.
func probeSystem(root string) []Finding {
	findings := []Finding{}
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err == nil {
		name := filesystemNames[uint32(st.Type)]
		known := name == "ext4" || name == "xfs" || name == "btrfs"
		detail := name + ": stamps and leases here are known to hold"
		switch {
		case name == "tmpfs":
			detail = "tmpfs: leases hold, but stores through a mapping move no stamp: a digest is trusted only when the file has " +
				"been still for 2 s"
		case !known:
			detail = fmt.Sprintf("%s (type %#x): a digest is trusted only when the file has been still for 2 s", orUnknown(name), uint32(st.Type))
		}
		findings = append(findings, Finding{"filesystem", known, detail})
	}
	findings = append(findings, finding("fine stamps", condition(fineStamps()),
		"a file that changes after its stamp was asked for gets another one, however soon",
		"this kernel is older than 6.13: a digest is trusted only when the file has been still for 2 s"))
	return append(findings, probeLimits()...)
}

func orUnknown(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}

func condition(ok bool) error {
	if ok {
		return nil
	}
	return unix.ENOTSUP
}

func probeLimits() []Finding {
	files := descriptorsMax()
	findings := []Finding{{"open files", files >= 1024,
		fmt.Sprintf("%d may be open; %d replaced files can be watched for late writers at once", files, quarantineFilesMax())}}
	for _, limit := range []struct{ file, what string }{
		{"max_user_watches", "folders can be watched for local changes"},
		{"max_user_instances", "watchers can run for this user"},
	} {
		b, err := os.ReadFile("/proc/sys/fs/inotify/" + limit.file)
		if err != nil {
			continue
		}
		text := strings.TrimSpace(string(b))
		findings = append(findings, Finding{"inotify " + limit.file, true,
			fmt.Sprintf("%s %s; raise with: sysctl fs.inotify.%s=N", text, limit.what, limit.file)})
	}
	return findings
}
