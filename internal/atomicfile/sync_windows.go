package atomicfile

import "os"

func syncDir(func() (*os.File, error)) error { return nil }
