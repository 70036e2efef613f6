package main

import "golang.org/x/sys/windows"

// filesystemBytes returns the size of the filesystem that holds dir.
func filesystemBytes(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var total uint64
	if err := windows.GetDiskFreeSpaceEx(name, nil, &total, nil); err != nil {
		return 0, err
	}
	return int64(total), nil
}
